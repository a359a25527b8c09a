/** Checkpoints in the original's layout: full-size headers without bytes, and tiny-v as a whole file. */
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import {
  type ByteSource,
  DTYPE_BITS,
  readSafetensors,
  type StoredDtype,
  type TensorBytes,
  writeSafetensors,
} from "../../engine/safetensors.ts";
import type { WeightPart } from "../../model/names.ts";
import { memorySource } from "./byte-source.ts";
import { weightsPath } from "./checkpoint-copy.ts";
import { checkpointPath } from "./golden.ts";

/** See tools/reference/ldm_keys.py. */
type Row = readonly [name: string, to: string | null | readonly string[], ...shapes: number[][]];
type Table = readonly Row[] | { readonly like: string; readonly rows: readonly Row[] };
interface Keys<Checkpoints> {
  readonly checkpoints: Checkpoints;
  readonly parts: Readonly<Record<string, Table>>;
}

/** A tensor of the original's, and what diffusers makes of it: none, one, or query, key and value. */
export interface LdmKey {
  readonly name: string;
  readonly shape: readonly number[];
  readonly part: string;
  readonly names: readonly string[];
}

function readKeys<T>(file: string): Keys<T> {
  return JSON.parse(readFileSync(new URL(`../fixtures/ldm/${file}`, import.meta.url), "utf8"));
}

const PREFIXES: Readonly<Record<string, string>> = {
  unet: "model.diffusion_model.",
  vae: "first_stage_model.",
  text_encoder: "cond_stage_model.model.",
  depth: "depth_model.model.",
  low_scale: "low_scale_model.",
  buffers: "",
};

const PUBLISHED = readKeys<Record<string, Record<string, string>>>("keys.json");
export const PUBLISHED_NAMES = Object.keys(PUBLISHED.checkpoints);

/** All tensors of one of the five published forms, by the yaml's name. */
export function publishedKeys(checkpoint: string): LdmKey[] {
  const parts = Object.entries(PUBLISHED.checkpoints[checkpoint]!);
  return parts.flatMap(([part, table]) => keysOf(part, rowsOf(PUBLISHED.parts, table)));
}

function rowsOf(parts: Keys<unknown>["parts"], name: string): readonly Row[] {
  const table = parts[name]!;
  if (!("like" in table)) return table as readonly Row[];
  const changed = new Map(table.rows.map((row) => [row[0], row]));
  return rowsOf(parts, table.like).map((row) => changed.get(row[0]) ?? row);
}

function keysOf(part: string, rows: readonly Row[]): LdmKey[] {
  return rows.flatMap(([name, to, ...shapes]) => {
    if (Array.isArray(to)) return [key(part, name, shapes[0]!, to)];
    return shapes.map((shape, i) => {
      const leaf = i === 0 ? "weight" : "bias";
      return key(part, `${name}.${leaf}`, shape, to === null ? [] : [`${to}.${leaf}`]);
    });
  });
}

function key(part: string, name: string, shape: number[], names: readonly string[]): LdmKey {
  return { name: PREFIXES[part]! + name, shape, part, names };
}

/** The same key as the moving average names it: diffusers' rule. */
export function emaNamed(name: string): string {
  return `model_ema.${name.split(".").slice(1).join("")}`;
}

export interface HeaderTensor {
  readonly name: string;
  readonly shape: readonly number[];
  readonly dtype?: StoredDtype;
}

/** A file of gigabytes that is not there: a true header, then bytes of `fill`. `read` counts what is asked for. */
export function hollowSource(
  tensors: readonly HeaderTensor[],
  { dtype = "F16" as StoredDtype, fill = (_name: string, bytes: Uint8Array) => bytes } = {},
) {
  const entries = tensors.map(({ name, shape, dtype: own = dtype }) => {
    const elements = shape.reduce((a, b) => a * b, 1);
    return { name, shape, dtype: own, bytes: (elements * DTYPE_BITS[own]) / 8 };
  });
  const header: Record<string, object> = {};
  const starts: { name: string; start: number; end: number }[] = [];
  let at = 0;
  for (const { name, shape, dtype, bytes } of entries) {
    header[name] = { dtype, shape, data_offsets: [at, at + bytes] };
    starts.push({ name, start: at, end: at + bytes });
    at += bytes;
  }
  const json = new TextEncoder().encode(JSON.stringify(header));
  const head = new Uint8Array(8 + json.length);
  new DataView(head.buffer).setBigUint64(0, BigInt(json.length), true);
  head.set(json, 8);
  const source = {
    name: "/models/hollow.safetensors",
    size: head.length + at,
    dataRead: 0,
    closed: false as boolean,
    async read(offset: number, length: number) {
      if (offset + length <= head.length) return head.slice(offset, offset + length);
      const bytes = new Uint8Array(length);
      if (offset < head.length) bytes.set(head.subarray(offset));
      const start = offset - head.length;
      const found = starts.find((each) => each.start === start);
      source.dataRead += Math.max(0, offset + length - Math.max(offset, head.length));
      return found ? fill(found.name, bytes) : bytes;
    },
    async close() {
      source.closed = true;
    },
  } satisfies ByteSource & { dataRead: number; closed: boolean };
  return source;
}

const TINY = readKeys<{ sha256: string }>("tiny-v.json");

export type LdmFile = Map<string, TensorBytes>;

/** tiny-v as diffusers' script converts it, by the record of what it did. */
export async function tinyLdm(): Promise<LdmFile> {
  const file: LdmFile = new Map();
  for (const part of ["unet", "vae", "text_encoder"] as const) {
    const stored = await folderTensors(part);
    for (const { name, shape, names } of keysOf(part, TINY.parts[part] as readonly Row[])) {
      const pieces = names.map((from) => stored.get(from)!);
      const data = Buffer.concat(pieces.map(({ data }) => data));
      file.set(name, { dtype: pieces[0]!.dtype, shape, data });
    }
  }
  return file;
}

/** What the script's own output hashes to. */
export const TINY_SHA256 = TINY.checkpoints.sha256;

export function sha256Of(file: LdmFile): string {
  const hash = createHash("sha256");
  for (const name of [...file.keys()].sort()) {
    const { shape, data } = file.get(name)!;
    hash.update(JSON.stringify([name, shape])).update(data);
  }
  return hash.digest("hex");
}

async function folderTensors(part: WeightPart): Promise<LdmFile> {
  const bytes = readFileSync(weightsPath(checkpointPath("tiny-v"), part));
  const { tensors } = await readSafetensors(memorySource(bytes));
  const found: LdmFile = new Map();
  for (const [name, tensor] of tensors) {
    const { dtype, shape, byteLength } = tensor;
    found.set(name, { dtype, shape, data: await tensor.read(0, byteLength) });
  }
  return found;
}

export function fileBytes(file: LdmFile): Uint8Array {
  return writeSafetensors(file);
}
