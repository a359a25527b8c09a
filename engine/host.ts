/** Between typed arrays, dense and row-major, and GPU memory with its rows padded to four. */
import { BYTES, type DType, decodeHalf, encodeHalf } from "./dtype.ts";
import { channels, numel, pitch, rows, type Shape, vectors } from "./shape.ts";

export type HostArray = Float32Array | Int32Array;

/** The bytes of `data` as a storage of `dtype` holds them. */
export function encode(
  data: ArrayLike<number>,
  shape: Shape,
  dtype: DType,
): Uint8Array<ArrayBuffer> {
  const padded = spread(data, shape);
  if (dtype === "f16") return bytesOf(encodeHalf(padded));
  return bytesOf(dtype === "i32" ? Int32Array.from(padded) : Float32Array.from(padded));
}

function bytesOf(array: Uint16Array | Int32Array | Float32Array): Uint8Array<ArrayBuffer> {
  return new Uint8Array(array.buffer as ArrayBuffer, array.byteOffset, array.byteLength);
}

function spread(data: ArrayLike<number>, shape: Shape): ArrayLike<number> {
  const width = channels(shape);
  if (width % 4 === 0) return data;
  const stride = 4 * pitch(shape);
  const out = new Float64Array(rows(shape) * stride);
  for (let row = 0; row < rows(shape); row++) {
    for (let c = 0; c < width; c++) out[row * stride + c] = data[row * width + c]!;
  }
  return out;
}

/** Values read from a storage, dense: Int32Array for i32, else Float32Array. */
export function decode(bytes: ArrayBuffer, shape: Shape, dtype: DType): HostArray {
  const size = vectors(shape) * 4;
  const raw =
    dtype === "f16"
      ? decodeHalf(new Uint16Array(bytes, 0, size))
      : dtype === "i32"
        ? new Int32Array(bytes, 0, size)
        : new Float32Array(bytes, 0, size);
  const width = channels(shape);
  if (width % 4 === 0) return raw;
  const stride = 4 * pitch(shape);
  const out = dtype === "i32" ? new Int32Array(numel(shape)) : new Float32Array(numel(shape));
  for (let row = 0; row < rows(shape); row++) {
    for (let c = 0; c < width; c++) out[row * width + c] = raw[row * stride + c]!;
  }
  return out;
}

/** Bytes of a storage that holds a tensor. */
export function byteLength(shape: Shape, dtype: DType): number {
  return vectors(shape) * 4 * BYTES[dtype];
}
