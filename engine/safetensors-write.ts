/** Writing safetensors: the bytes that the Rust crate writes for the same tensors. */
import { DiffusionError } from "./errors.ts";
import { quoted } from "./json-cursor.ts";
import { DTYPE_BITS, type StoredDtype } from "./stored-dtype.ts";

/** A tensor to be written: `data` holds its bytes, row-major and little-endian. */
export interface TensorBytes {
  readonly dtype: StoredDtype;
  readonly shape: readonly number[];
  readonly data: Uint8Array;
}

/**
 * The bytes of a safetensors file. Wide dtypes go first and the header is padded with spaces to a
 * multiple of 8, so that every tensor is aligned to its element. Throws WEIGHTS_LAYOUT if `data`
 * has not the size of `shape`.
 */
export function writeSafetensors(
  tensors: ReadonlyMap<string, TensorBytes>,
  metadata: ReadonlyMap<string, string> = new Map(),
): Uint8Array {
  const sorted = [...tensors].sort(wideFirst);
  const header = encodeHeader(sorted, metadata);
  const size = sorted.reduce((sum, [, { data }]) => sum + data.length, 8 + header.length);
  const file = new Uint8Array(size);
  new DataView(file.buffer).setBigUint64(0, BigInt(header.length), true);
  file.set(header, 8);
  let at = 8 + header.length;
  for (const [, { data }] of sorted) {
    file.set(data, at);
    at += data.length;
  }
  return file;
}

const RANK = Object.keys(DTYPE_BITS);

type Named = readonly [string, TensorBytes];

/** The order of the Rust crate's writer: its dtypes from the last to the first, then by name. */
function wideFirst([nameA, a]: Named, [nameB, b]: Named): number {
  return RANK.indexOf(b.dtype) - RANK.indexOf(a.dtype) || (nameA < nameB ? -1 : 1);
}

function encodeHeader(tensors: Named[], metadata: ReadonlyMap<string, string>): Uint8Array {
  // Members are joined as text: an object would lose a tensor that is called "__proto__".
  const members = metadata.size > 0 ? [member("__metadata__", Object.fromEntries(metadata))] : [];
  let begin = 0;
  for (const [name, tensor] of tensors) {
    checkSize(name, tensor);
    const { dtype, shape, data } = tensor;
    members.push(member(name, { dtype, shape, data_offsets: [begin, begin + data.length] }));
    begin += data.length;
  }
  const json = new TextEncoder().encode(`{${members.join(",")}}`);
  const padded = new Uint8Array(Math.ceil(json.length / 8) * 8).fill(0x20);
  padded.set(json);
  return padded;
}

function member(key: string, value: object): string {
  return `${JSON.stringify(key)}:${JSON.stringify(value)}`;
}

function checkSize(name: string, { dtype, shape, data }: TensorBytes): void {
  const bytes = (shape.reduce((a, b) => a * b, 1) * DTYPE_BITS[dtype]) / 8;
  if (bytes === data.length && name !== "__metadata__" && name.isWellFormed()) return;
  throw new DiffusionError(
    "WEIGHTS_LAYOUT",
    `${quoted(name)} cannot be written: ${dtype} [${shape}] takes ${bytes} bytes, found ${data.length}`,
  );
}
