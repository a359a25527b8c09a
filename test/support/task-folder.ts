/** The tiny checkpoints of the tasks beside text-to-image, completed with parts that others lend. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";

export const TASK_MODELS = ["inpaint-a", "inpaint-b", "depth", "x4-a", "x4-b"] as const;
export type TaskModel = (typeof TASK_MODELS)[number];

const FIXTURES = new URL("../fixtures/", import.meta.url).pathname;

/** Who lends text encoder, tokenizer and VAE; the upscalers' VAE is tiny-x4-vae. */
const LENDERS: Readonly<Record<TaskModel, string>> = {
  "inpaint-a": "tiny-v",
  "inpaint-b": "tiny-eps",
  depth: "tiny-v",
  "x4-a": "tiny-v",
  "x4-b": "tiny-eps",
};

const made = new Map<string, string>();

/**
 * A whole diffusers folder of the model, in a temporary place; `removeTaskFolders` deletes all of them. With
 * `estimator`, tiny-depth's depth estimator is in it.
 */
export function taskFolder(name: TaskModel, estimator = false): string {
  const key = `${name} ${estimator}`;
  const known = made.get(key);
  if (known) return known;
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  cpSync(join(FIXTURES, "tasks", name), folder, { recursive: true });
  for (const part of ["text_encoder", "tokenizer", "vae"]) {
    const upscalers = part === "vae" && existsSync(join(folder, "low_res_scheduler"));
    const lent = upscalers ? "tiny-x4-vae" : `${LENDERS[name]}/${part}`;
    cpSync(join(FIXTURES, lent), join(folder, part), { recursive: true });
  }
  if (estimator) addEstimator(folder);
  made.set(key, folder);
  return folder;
}

function addEstimator(folder: string): void {
  cpSync(join(FIXTURES, "tiny-depth"), folder, { recursive: true });
  const index = join(folder, "model_index.json");
  const parts = {
    depth_estimator: ["transformers", "DPTForDepthEstimation"],
    feature_extractor: ["transformers", "DPTImageProcessor"],
  };
  writeFileSync(index, JSON.stringify({ ...JSON.parse(readFileSync(index, "utf8")), ...parts }));
}

export function removeTaskFolders(): void {
  for (const folder of made.values()) rmSync(folder, { recursive: true, force: true });
  made.clear();
}

export function readTaskGolden<T>(file: string): T {
  return JSON.parse(readFileSync(join(FIXTURES, "golden/tasks", file), "utf8"));
}
