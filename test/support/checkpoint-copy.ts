/** Copies of the tiny checkpoints in temporary folders, with something changed. */
import { cpSync, mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type CheckpointName, checkpointPath } from "./golden.ts";

const made: string[] = [];

/** A copy of the checkpoint for `change` to work on; `removeCopies` deletes all of them. */
export function copyCheckpoint(
  name: CheckpointName,
  change: (folder: string) => void = () => undefined,
): string {
  const folder = mkdtempSync(join(tmpdir(), `${name}-`));
  made.push(folder);
  cpSync(checkpointPath(name), folder, { recursive: true });
  change(folder);
  return folder;
}

export function removeCopies(): void {
  for (const folder of made.splice(0)) rmSync(folder, { recursive: true, force: true });
}

/** A copy with another scheduler file: "other" or "trailing" of the golden pictures. */
export function withSchedulerFile(name: CheckpointName, file: string): string {
  return copyCheckpoint(name, (folder) => {
    const golden = new URL(`../fixtures/golden/${name}/scheduler-${file}`, import.meta.url);
    cpSync(golden.pathname, join(folder, "scheduler"), { recursive: true });
  });
}

/** The weights' file of each part of a diffusers folder. */
const WEIGHTS = {
  text_encoder: "text_encoder/model.safetensors",
  unet: "unet/diffusion_pytorch_model.safetensors",
  vae: "vae/diffusion_pytorch_model.safetensors",
} as const;

export type PartName = keyof typeof WEIGHTS;

export function weightsPath(folder: string, part: PartName): string {
  return join(folder, WEIGHTS[part]);
}

/** Rewrites one tensor in its file; `edit` gets its raw bytes. */
export function editTensor(
  folder: string,
  part: PartName,
  name: string,
  edit: (bytes: DataView) => void,
): void {
  const path = weightsPath(folder, part);
  const file = readFileSync(path);
  const length = Number(file.readBigUInt64LE(0));
  const header = JSON.parse(file.subarray(8, 8 + length).toString("utf8"));
  const [start, end] = header[name].data_offsets as [number, number];
  edit(new DataView(file.buffer, file.byteOffset + 8 + length + start, end - start));
  writeFileSync(path, file);
}
