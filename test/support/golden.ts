/** What PyTorch computed: the golden tensors of a tiny checkpoint, and how ours are compared with them. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readSafetensors } from "../../engine/safetensors.ts";
import { generate, get, type Values, values } from "../reference/values.ts";
import { memorySource } from "./byte-source.ts";

export const CHECKPOINTS = ["tiny-v", "tiny-eps"] as const;
export type CheckpointName = (typeof CHECKPOINTS)[number];
/**
 * The depth estimator has a folder of its own, without the other parts; `vae` holds what vae_extra.py
 * writes, `shapes` is the checkpoint that ships.
 */
export type GoldenFolder = CheckpointName | "tiny-depth" | "vae" | "shapes" | "tasks" | "guided";

/** One call of a PyTorch module; see test/fixtures/README.md. */
export interface BlockEntry {
  readonly name: string;
  readonly component: "text_encoder" | "unet" | "vae";
  readonly module: string;
  readonly class: string;
  readonly file: string;
  readonly inputs: Readonly<Record<string, string | number | readonly (string | number)[]>>;
  readonly output: Nested;
}

type Nested = string | readonly Nested[];

export type GoldenTensors = (file: string, name: string) => Values;

const FIXTURES = new URL("../fixtures/", import.meta.url);

export function checkpointPath(checkpoint: GoldenFolder): string {
  return new URL(checkpoint, FIXTURES).pathname;
}

export function readGolden<T>(checkpoint: GoldenFolder, file: string): T {
  return JSON.parse(readFileSync(new URL(`golden/${checkpoint}/${file}`, FIXTURES), "utf8"));
}

const ARRAYS = { F32: Float32Array, I32: Int32Array, U8: Uint8Array } as const;

/** Reads whole files of golden tensors, of f32, i32 and u8. */
export async function openGolden(
  checkpoint: GoldenFolder,
  files: readonly string[],
): Promise<GoldenTensors> {
  const found = new Map<string, Values>();
  for (const file of files) {
    const bytes = readFileSync(new URL(`golden/${checkpoint}/${file}`, FIXTURES));
    const { tensors } = await readSafetensors(memorySource(bytes, file));
    for (const [name, tensor] of tensors) {
      const raw = (await tensor.read(0, tensor.byteLength)).slice().buffer;
      const data = new ARRAYS[tensor.dtype as keyof typeof ARRAYS](raw);
      found.set(`${file}:${name}`, values(data, tensor.shape));
    }
  }
  return (file, name) => {
    const tensor = found.get(`${file}:${name}`);
    assert.ok(tensor, `${file} holds ${name}`);
    return tensor;
  };
}

/** [hidden, [skip, skip]] as one list. */
export function flat(output: Nested): string[] {
  return typeof output === "string" ? [output] : output.flatMap(flat);
}

/** [B, C, H, W] to [B, H, W, C]; other ranks stay. */
export function channelsLast(x: Values): Values {
  if (x.shape.length !== 4) return x;
  const [B, C, H, W] = x.shape as [number, number, number, number];
  return generate([B, H, W, C], ([b, h, w, c]) => get(x, [b!, c!, h!, w!]));
}

/** The bound on every stage: f32 against PyTorch's f32, whose own runs differ by about 1e-6. */
export const STAGE_TOLERANCE = 1e-4;

/** max|Δ| / max|expected|; NaN and a different number of elements are infinitely far. */
export function maxError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return measured(actual, expected, (a, b) => Math.max(a, Math.abs(b)));
}

/** rms(Δ) / rms(expected). */
export function rmsError(actual: ArrayLike<number>, expected: ArrayLike<number>): number {
  return Math.sqrt(measured(actual, expected, (a, b) => a + b * b));
}

function measured(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  add: (total: number, value: number) => number,
): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let error = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    error = add(error, actual[i]! - expected[i]!);
    size = add(size, expected[i]!);
  }
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / size;
}
