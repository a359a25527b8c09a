/** What went wrong, in the words of the error: what, where, and what helps. */
import { DiffusionError } from "../../../engine/errors.ts";
import { box } from "./page.ts";

export function showProblem(error: unknown): void {
  const { message, code, hint } = wordsOf(error);
  box("problem-message").textContent = message;
  box("problem-hint").textContent = hint;
  box("problem-code").textContent = code;
  box("problem").hidden = false;
  // In a narrow window it is below the form.
  box("problem").scrollIntoView({ block: "nearest" });
}

export function hideProblem(): void {
  box("problem").hidden = true;
}

/** By code, what a page can do where the library's hint speaks of the command line. */
const ON_A_PAGE: Readonly<Record<string, string>> = {
  GPU_OOM: "Take a smaller picture, or the fp16 variant of the model; close other tabs.",
  LIMIT: "Take a smaller picture: this GPU's buffers are too small for it.",
  NUMERIC:
    "The weights overflow in f16, or hold NaN: take another variant, or fetch the model again.",
  DEVICE_LOST: "The GPU was lost twice. Close other tabs that use it, or reload this page.",
  WEIGHTS_FORMAT: "Choose a .safetensors file, or a model's folder with such files in it.",
  WEIGHTS_MISMATCH: "This page runs Stable Diffusion 2: choose such a model, whole.",
  WEIGHTS_MISSING: "Name or choose a folder as diffusers writes it, or one .safetensors file.",
  WEIGHTS_TRUNCATED: "The file is incomplete: download it again, then choose it again.",
  HUB_404:
    "Check the spelling. Stability AI took its own Stable Diffusion 2 off the hub: mirrors have it.",
};

interface Words {
  readonly message: string;
  readonly code: string;
  readonly hint: string;
}

export function wordsOf(error: unknown): Words {
  if (error instanceof DiffusionError) {
    const { message, code, hint = "" } = error;
    const forTerminals = /`(?:wgsl-diffusion|git)|--\w|npm i\b/.test(hint) || hint === "";
    return { message, code, hint: forTerminals ? (ON_A_PAGE[code] ?? "") : hint };
  }
  return { message: String((error as Error)?.message ?? error), code: "INTERNAL", hint: "" };
}
