/**
 * `npm run bench -- task FORM`: each published form of Stable Diffusion 2 once at full size with random weights, one
 * step on small latents, against diffusers: `tools/reference/full_size.py --form` makes it, `tools/verify` compares.
 */
import { spawnSync } from "node:child_process";
import { mkdirSync, rmSync } from "node:fs";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { openDevice } from "../engine/index.ts";
import { type Listener, reportOn } from "../tools/verify/command.ts";
import type { Cost, Row } from "../tools/verify/verify.ts";
import { writeVocabulary } from "../tools/verify/vocabulary.ts";
import { saveResult } from "./results.ts";

/** tools/reference/published.py has their configurations. */
export const FORMS = ["base", "768-v", "turbo", "inpainting", "depth", "x4-upscaling"] as const;
export type Form = (typeof FORMS)[number];

export interface TaskOptions {
  readonly form: Form;
  readonly dtypes: readonly ("f32" | "f16")[];
  readonly python: string;
  /** Where the checkpoint is made, and deleted after the run: 3 GB, 6 as a single file. */
  readonly work: string;
  /** diffusers' script that makes a single file of the folder (see tools/reference/single_file.py). */
  readonly script?: string | undefined;
}

/** One dtype's half of a run. */
export interface TaskResult {
  readonly form: Form;
  readonly layout: "folder" | "single file";
  readonly dtype: "f32" | "f16";
  readonly latents: string;
  readonly rows: readonly Row[];
  readonly costs: readonly Cost[];
  readonly reference: Readonly<Record<string, string>>;
}

const REFERENCE = fileURLToPath(new URL("../tools/reference/", import.meta.url));

/** Saves a result for each dtype. Throws what making, comparing and running throw. */
export async function benchTask(options: TaskOptions, listener: Listener = {}): Promise<Row[]> {
  const { form, dtypes, python, script } = options;
  const folder = join(options.work, form);
  const file = `${folder}.safetensors`;
  try {
    await makeCheckpoint(python, form, folder);
    if (script) {
      run(python, ["single_file.py", script, folder, file]);
      rmSync(folder, { recursive: true });
    }
    const x4 = form === "x4-upscaling";
    const report = await reportOn(
      {
        ...{ model: script ? file : folder, reference: script ? file : folder, out: "", python },
        ...{ full: false, dtypes, config: undefined, prediction: predictionOf(form) },
        ...{ record: undefined, recorded: undefined },
        settings: {
          ...{ width: 64, height: 64, steps: 1, strength: 1, timesteps: 1 },
          ...(form === "turbo" && { guidanceScale: 0 }),
          stages: ["tokens", "unet", "depth", "noise-level", "picture"],
        },
      },
      listener,
    );
    const device = await openDevice();
    for (const dtype of dtypes) {
      const of = <T extends { dtype: string }>(all: readonly T[]) =>
        all.filter((each) => each.dtype === dtype);
      const layout = script ? "single file" : "folder";
      const result: TaskResult = {
        ...{ form, layout, dtype, latents: x4 ? "16x16" : "8x8" },
        ...{ rows: of(report.rows), costs: of(report.costs), reference: report.versions },
      };
      saveResult(`task-${form}-${dtype}`, device, result);
    }
    device.destroy();
    return [...report.rows];
  } finally {
    for (const path of [folder, file]) rmSync(path, { recursive: true, force: true });
  }
}

async function makeCheckpoint(python: string, form: Form, folder: string): Promise<void> {
  mkdirSync(folder, { recursive: true });
  run(python, ["full_size.py", folder, "--form", form]);
  await writeVocabulary(join(folder, "tokenizer"));
}

/** Single files do not say it; random weights do not show it. */
function predictionOf(form: Form): "eps" | "v" {
  return form === "768-v" || form === "x4-upscaling" ? "v" : "eps";
}

function run(python: string, [script, ...args]: readonly string[]): void {
  const stdio = ["ignore", "inherit", "inherit"] as const;
  const { status, error } = spawnSync(python, [join(REFERENCE, script!), ...args], {
    stdio: [...stdio],
  });
  if (error) throw error;
  if (status !== 0) throw new Error(`${script} ended with ${status}`);
}
