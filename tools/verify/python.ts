/** The Python that runs diffusers: found, asked, and its faults told in our words. */
import { spawn } from "node:child_process";
import { mkdirSync, mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { fileURLToPath } from "node:url";
import { DiffusionError } from "../../engine/errors.ts";
import { isFolder } from "../../engine/platform/text-file.node.ts";
import type { PredictionType } from "../../model/detect.ts";
import type { Settings } from "./settings.ts";
import { writeVocabulary } from "./vocabulary.ts";

const SCRIPT = fileURLToPath(new URL("../reference/verify_dump.py", import.meta.url));
const INSTALL = "pip install -r tools/reference/requirements.txt";

export interface ReferenceRun {
  readonly python: string;
  /** What diffusers reads. */
  readonly model: string;
  /** Where stages.json and stages.safetensors go. */
  readonly into: string;
  readonly settings: Settings;
  /** For a single file: what the UNet predicts, and configuration beside it. */
  readonly prediction: PredictionType;
  readonly config?: string | undefined;
  /** Hears of each stage as it begins. */
  readonly onStage?: ((stage: string) => void) | undefined;
}

/** Records what diffusers makes of a checkpoint. Throws NO_PYTHON, PYTHON_PACKAGE, PYTHON_FAILED. */
export async function runReference(run: ReferenceRun): Promise<void> {
  const scratch = mkdtempSync(join(tmpdir(), "wgsl-diffusion-verify-"));
  try {
    mkdirSync(run.into, { recursive: true });
    const tokenizer = join(scratch, "tokenizer");
    // A folder has its own.
    if (!(await isFolder(run.model))) await writeVocabulary(tokenizer);
    const { settings, prediction, config = null } = run;
    const path = join(scratch, "settings.json");
    writeFileSync(path, JSON.stringify({ ...settings, prediction, config, tokenizer }));
    await python(run, [SCRIPT, run.model, run.into, path]);
  } finally {
    rmSync(scratch, { recursive: true, force: true });
  }
}

function python({ python, onStage }: ReferenceRun, args: readonly string[]): Promise<void> {
  const child = spawn(python, args, { stdio: ["ignore", "pipe", "pipe"] });
  let complaint = "";
  child.stdout.setEncoding("utf8").on("data", (text: string) => {
    for (const [, stage] of text.matchAll(/{"stage": "([^"]*)"}/g)) onStage?.(stage!);
  });
  child.stderr.setEncoding("utf8").on("data", (text: string) => {
    complaint = (complaint + text).slice(-20_000);
  });
  return new Promise((resolve, reject) => {
    child.on("error", (cause) => reject(noPython(python, cause)));
    child.on("close", (status, signal) => {
      if (status === 0) resolve();
      else reject(failure(complaint, signal ?? `exit status ${status}`));
    });
  });
}

function noPython(python: string, cause: Error): DiffusionError {
  const message = `Python does not start: ${python} (${cause.message})`;
  const hint = `verify compares with diffusers, in Python: install Python 3.10 or later and \`${INSTALL}\`, or name one with --python PATH`;
  return new DiffusionError("NO_PYTHON", message, { hint, cause });
}

function failure(complaint: string, how: string): DiffusionError {
  const missing = /{"missing": "([^"]*)"}/.exec(complaint)?.[1];
  if (missing !== undefined) {
    return new DiffusionError("PYTHON_PACKAGE", `this Python has no package ${missing}`, {
      hint: `${INSTALL}, or name another Python with --python PATH`,
    });
  }
  const last = complaint.trimEnd().split("\n").at(-1) ?? "";
  return new DiffusionError("PYTHON_FAILED", `diffusers failed (${how}): ${last}`, {
    hint: "WGSL_DIFFUSION_DEBUG=1 shows all that it said.",
    cause: new Error(complaint),
  });
}
