/** The tiny checkpoints of the tasks beside text-to-image, completed with parts that others lend. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync } from "node:fs";
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

const made = new Map<TaskModel, string>();

/** A whole diffusers folder of the model, in a temporary place; `removeTaskFolders` deletes all of them. */
export function taskFolder(name: TaskModel): string {
  const known = made.get(name);
  if (known) return known;
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  cpSync(join(FIXTURES, "tasks", name), folder, { recursive: true });
  for (const part of ["text_encoder", "tokenizer", "vae"]) {
    const upscalers = part === "vae" && existsSync(join(folder, "low_res_scheduler"));
    const lent = upscalers ? "tiny-x4-vae" : `${LENDERS[name]}/${part}`;
    cpSync(join(FIXTURES, lent), join(folder, part), { recursive: true });
  }
  made.set(name, folder);
  return folder;
}

export function removeTaskFolders(): void {
  for (const folder of made.values()) rmSync(folder, { recursive: true, force: true });
  made.clear();
}

export function readTaskGolden<T>(file: string): T {
  return JSON.parse(readFileSync(join(FIXTURES, "golden/tasks", file), "utf8"));
}
