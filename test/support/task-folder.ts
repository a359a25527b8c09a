/** The tiny checkpoints of the tasks beside text-to-image, completed with parts that others lend. */
import { cpSync, existsSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { readSafetensors } from "../../engine/safetensors.ts";
import { type TensorBytes, writeSafetensors } from "../../engine/safetensors-write.ts";
import { memorySource } from "./byte-source.ts";

export const TASK_MODELS = ["inpaint-a", "inpaint-b", "depth", "depth-b", "x4-a", "x4-b"] as const;
export type TaskModel = (typeof TASK_MODELS)[number];

const FIXTURES = new URL("../fixtures/", import.meta.url).pathname;

/** Who lends text encoder, tokenizer and VAE; the upscalers' VAE is tiny-x4-vae. */
const LENDERS: Readonly<Record<TaskModel, string>> = {
  "inpaint-a": "tiny-v",
  "inpaint-b": "tiny-eps",
  depth: "tiny-v",
  "depth-b": "tiny-v",
  "x4-a": "tiny-v",
  "x4-b": "tiny-eps",
};

/** Whose UNet's weights it has, but for those in unet/own.safetensors. */
const LIKE: Readonly<Partial<Record<TaskModel, TaskModel>>> = { "depth-b": "inpaint-a" };

const made = new Map<string, string>();

/**
 * A whole diffusers folder of the model, in a temporary place; `removeTaskFolders` deletes all of them. With
 * `estimator`, tiny-depth's depth estimator is in it.
 */
export async function taskFolder(name: TaskModel, estimator = false): Promise<string> {
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
  const like = LIKE[name];
  if (like) await mergeUnet(folder, like);
  if (estimator) addEstimator(folder);
  made.set(key, folder);
  return folder;
}

async function mergeUnet(folder: string, like: TaskModel): Promise<void> {
  const weights = "unet/diffusion_pytorch_model.safetensors";
  const lent = await tensorsOf(join(FIXTURES, "tasks", like, weights));
  const own = await tensorsOf(join(folder, "unet/own.safetensors"));
  writeFileSync(join(folder, weights), writeSafetensors(new Map([...lent, ...own])));
}

async function tensorsOf(path: string): Promise<Map<string, TensorBytes>> {
  const { tensors } = await readSafetensors(memorySource(readFileSync(path), path));
  const found = new Map<string, TensorBytes>();
  for (const [name, { dtype, shape, byteLength, read }] of tensors)
    found.set(name, { dtype, shape, data: await read(0, byteLength) });
  return found;
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
