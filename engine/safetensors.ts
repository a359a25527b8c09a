/**
 * The safetensors format: 8 bytes of header length N (u64 LE), N bytes of JSON, then the tensors'
 * bytes, row-major and little-endian, one after another with neither hole nor overlap.
 *
 * The contract is that of the Rust crate (safetensors/src/tensor.rs, `read_metadata`) and stricter
 * where its text is stricter than its code: equal keys are refused at every level.
 */
import { DiffusionError, type ErrorCode } from "./errors.ts";
import { recogniseFile } from "./file-kind.ts";
import { quoted } from "./json-cursor.ts";
import { type HeaderEntry, parseHeader } from "./safetensors-header.ts";
import type { StoredDtype } from "./stored-dtype.ts";

export { type TensorBytes, writeSafetensors } from "./safetensors-write.ts";
export { DTYPE_BITS, type StoredDtype } from "./stored-dtype.ts";

/** Random access to the bytes of one file, wherever it lies. `read` gives exactly `length` bytes. */
export interface ByteSource {
  readonly name: string;
  readonly size: number;
  read(offset: number, length: number): Promise<Uint8Array>;
  close(): Promise<void>;
}

/** A tensor that lies in a file. `read`'s offset counts from the tensor's own first byte. */
export interface StoredTensor {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly byteLength: number;
  read(offset: number, length: number): Promise<Uint8Array>;
}

export interface Safetensors {
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly metadata: ReadonlyMap<string, string>;
}

/** The Rust crate's limit on the header, in bytes. */
export const MAX_HEADER_BYTES = 100_000_000;

const OPENING_BRACE = 0x7b;

/**
 * Reads and checks the header of `source`; no tensor byte is read. Memory is bounded by the header.
 * Throws WEIGHTS_FORMAT (another kind of file), WEIGHTS_HEADER (length, UTF-8, JSON, equal keys),
 * WEIGHTS_DTYPE (unknown dtype), WEIGHTS_LAYOUT (offsets, sizes, trailing bytes) and
 * WEIGHTS_TRUNCATED (the file is shorter than its header says).
 */
export async function readSafetensors(source: ByteSource): Promise<Safetensors> {
  const headerBytes = await readHeaderLength(source);
  const text = decodeHeader(source, await source.read(8, headerBytes));
  const { entries, metadata } = parseHeader(text, source.name);
  checkContiguous(source, entries, source.size - 8 - headerBytes);
  const tensors = new Map<string, StoredTensor>();
  for (const entry of entries) {
    tensors.set(entry.name, storedTensor(source, entry, 8 + headerBytes));
  }
  return { tensors, metadata };
}

async function readHeaderLength(source: ByteSource): Promise<number> {
  const head = await source.read(0, Math.min(512, source.size));
  const length =
    head.length < 8 ? 0 : Number(new DataView(head.buffer, head.byteOffset).getBigUint64(0, true));
  const plausible = length >= 2 && length <= MAX_HEADER_BYTES && head[8] === OPENING_BRACE;
  const kind = plausible ? undefined : recogniseFile(head);
  if (kind) {
    throw new DiffusionError("WEIGHTS_FORMAT", `${source.name} is ${kind.what}`, {
      hint: kind.hint,
    });
  }
  const fault = headerLengthFault(head, length, source.size);
  if (fault) throw new DiffusionError("WEIGHTS_HEADER", `${source.name}: ${fault}`, NOT_OURS);
  return length;
}

const NOT_OURS = { hint: "this is not a safetensors file, or it is damaged: download it again" };

function headerLengthFault(head: Uint8Array, length: number, size: number): string | undefined {
  if (head.length < 8) return `the file has ${size} bytes; a safetensors file has at least 10`;
  if (length > MAX_HEADER_BYTES) {
    return `bytes 0-7 give a header of ${length} bytes; at most ${MAX_HEADER_BYTES} are allowed`;
  }
  if (length + 8 > size) {
    return `bytes 0-7 give a header of ${length} bytes, but the file has ${size} in all`;
  }
  if (length < 2) return `bytes 0-7 give a header of ${length} bytes; "{}" is the shortest`;
  return head[8] === OPENING_BRACE ? undefined : `byte 8 is not "{", where the header must begin`;
}

function decodeHeader(source: ByteSource, bytes: Uint8Array): string {
  try {
    return new TextDecoder("utf-8", { fatal: true, ignoreBOM: true }).decode(bytes);
  } catch (cause) {
    const message = `${source.name}: the header (bytes 8 to ${8 + bytes.length}) is not UTF-8`;
    throw new DiffusionError("WEIGHTS_HEADER", message, { cause, ...NOT_OURS });
  }
}

/** By begin, then end, the tensors must tile [0, `available`) exactly. */
function checkContiguous(source: ByteSource, entries: HeaderEntry[], available: number): void {
  let expected = 0;
  for (const { name, begin, end } of byOffset(entries)) {
    if (begin !== expected) {
      const what = begin > expected ? "leaves a hole after" : "overlaps the tensor that ends at";
      const message = `tensor ${quoted(name)} at [${begin}, ${end}) ${what} ${expected}`;
      throw layoutFault("WEIGHTS_LAYOUT", source, message);
    }
    expected = end;
  }
  if (expected < available) {
    const message = `${available - expected} bytes follow the last tensor, which ends at ${expected}`;
    throw layoutFault("WEIGHTS_LAYOUT", source, message);
  }
  if (expected > available) {
    const whole = source.size - available + expected;
    const message = `the file has ${source.size} of the ${whole} bytes that its header announces`;
    const hint = "the download stopped early: run `wgsl-diffusion download` again (it resumes)";
    throw layoutFault("WEIGHTS_TRUNCATED", source, message, hint);
  }
}

/** Most writers list tensors in order of offset: sort only what is not sorted. */
function byOffset(entries: HeaderEntry[]): HeaderEntry[] {
  const order = (a: HeaderEntry, b: HeaderEntry) => a.begin - b.begin || a.end - b.end;
  const sorted = entries.every((entry, i) => i === 0 || order(entries[i - 1]!, entry) <= 0);
  return sorted ? entries : entries.toSorted(order);
}

function layoutFault(code: ErrorCode, source: ByteSource, message: string, hint?: string) {
  return new DiffusionError(code, `${source.name}: ${message}`, hint === undefined ? {} : { hint });
}

function storedTensor(source: ByteSource, entry: HeaderEntry, dataStart: number): StoredTensor {
  const { name, dtype, shape, begin, end } = entry;
  const byteLength = end - begin;
  return {
    name,
    dtype,
    shape,
    byteLength,
    read(offset, length) {
      if (!(offset >= 0 && length >= 0 && offset + length <= byteLength)) {
        const message = `${name}: read [${offset}, ${offset + length}) of ${byteLength} bytes`;
        return Promise.reject(new DiffusionError("INTERNAL", message));
      }
      return source.read(dataStart + begin + offset, length);
    },
  };
}
