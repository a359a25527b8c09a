/** The JSON header of a safetensors file: each tensor's dtype, shape and place, checked one by one. */
import { DiffusionError, type ErrorCode } from "./errors.ts";
import {
  expectEnd,
  type JsonCursor,
  jsonFault,
  openJson,
  peek,
  quoted,
  readArray,
  readCount,
  readObject,
  readString,
  skipValue,
} from "./json-cursor.ts";
import { DTYPE_BITS, type StoredDtype } from "./stored-dtype.ts";

/** One tensor: its bytes are [begin, end) of the data that follows the header. */
export interface HeaderEntry {
  readonly name: string;
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly begin: number;
  readonly end: number;
}

export interface Header {
  readonly entries: HeaderEntry[];
  readonly metadata: Map<string, string>;
}

/** The header `text` of the file `source`, in the order written. Offsets are not yet compared. */
export function parseHeader(text: string, source: string): Header {
  const cursor = openJson(text, source);
  const entries: HeaderEntry[] = [];
  let metadata = new Map<string, string>();
  readObject(cursor, (name) => {
    if (name === "__metadata__") metadata = readMetadata(cursor);
    else entries.push(readEntry(cursor, name));
  });
  expectEnd(cursor);
  return { entries, metadata };
}

function readMetadata(cursor: JsonCursor): Map<string, string> {
  const metadata = new Map<string, string>();
  readObject(cursor, (key) => {
    if (peek(cursor) !== '"') {
      throw jsonFault(cursor, `__metadata__ may hold strings only, and ${quoted(key)} is not one`);
    }
    metadata.set(key, readString(cursor));
  });
  return metadata;
}

type Numbers = readonly (number | undefined)[];

function readEntry(cursor: JsonCursor, name: string): HeaderEntry {
  let dtype: string | undefined;
  let shape: Numbers | undefined;
  let offsets: Numbers | undefined;
  const start = cursor.at;
  readObject(cursor, (key) => {
    if (key === "dtype") dtype = readString(cursor);
    else if (key === "shape") shape = readNumbers(cursor);
    else if (key === "data_offsets") offsets = readNumbers(cursor);
    else skipValue(cursor);
  });
  if (dtype === undefined || shape === undefined || offsets === undefined) {
    throw jsonFault(cursor, `tensor ${quoted(name)} lacks dtype, shape or data_offsets`, start);
  }
  return checkEntry(cursor.source, name, dtype, shape, offsets);
}

function readNumbers(cursor: JsonCursor): Numbers {
  const numbers: (number | undefined)[] = [];
  readArray(cursor, () => numbers.push(readCount(cursor)));
  return numbers;
}

function checkEntry(
  source: string,
  name: string,
  dtype: string,
  shape: Numbers,
  offsets: Numbers,
): HeaderEntry {
  const where = { source, name };
  if (!isDtype(dtype)) {
    const known = Object.keys(DTYPE_BITS).join(", ");
    throw entryFault(
      where,
      `has the dtype ${quoted(dtype)}; the format knows ${known}`,
      "WEIGHTS_DTYPE",
    );
  }
  if (!areCounts(shape))
    throw entryFault(where, "has a size that is not an integer from 0 to 2^53-1");
  if (!areCounts(offsets))
    throw entryFault(where, "has an offset that is not an integer from 0 to 2^53-1");
  const [begin, end] = offsets;
  if (begin === undefined || end === undefined || offsets.length !== 2) {
    throw entryFault(where, `has ${offsets.length} data_offsets; expected 2: begin and end`);
  }
  if (end < begin) throw entryFault(where, `ends at ${end}, before it begins at ${begin}`);
  const bytes = byteLength(dtype, shape);
  if (bytes === undefined) {
    throw entryFault(where, `of ${dtype} ${dims(shape)} is not a whole number of bytes below 2^53`);
  }
  if (end - begin !== bytes) {
    throw entryFault(where, `has ${end - begin} bytes, but ${dtype} ${dims(shape)} takes ${bytes}`);
  }
  return { name, dtype, shape, begin, end };
}

function entryFault(
  { source, name }: { source: string; name: string },
  what: string,
  code: ErrorCode = "WEIGHTS_LAYOUT",
): DiffusionError {
  return new DiffusionError(code, `${source}: tensor ${quoted(name)} ${what}`);
}

function isDtype(name: string): name is StoredDtype {
  return Object.hasOwn(DTYPE_BITS, name);
}

function areCounts(numbers: Numbers): numbers is readonly number[] {
  return !numbers.includes(undefined);
}

/** Undefined if a product overflows, even if a later 0 hides it (Rust's `checked_mul`). */
function byteLength(dtype: StoredDtype, shape: readonly number[]): number | undefined {
  let elements = 1;
  for (const size of shape) {
    elements *= size;
    if (!Number.isSafeInteger(elements)) return undefined;
  }
  const bytes = (elements * DTYPE_BITS[dtype]) / 8;
  return Number.isSafeInteger(bytes) ? bytes : undefined;
}

function dims(shape: readonly number[]): string {
  return shape.length > 8 ? `[${shape.slice(0, 8)}, …]` : `[${shape}]`;
}
