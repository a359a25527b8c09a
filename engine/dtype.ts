/** Element types of tensors. `bf16` exists in files only: kernels read it, nothing is computed in it. */
export type DType = "f32" | "f16" | "i32";
export type StoredType = DType | "bf16";

export const BYTES: Readonly<Record<StoredType, number>> = { f32: 4, f16: 2, bf16: 2, i32: 4 };

/** IEEE binary16 bits of each value: round to nearest even, beyond 65504 to infinity. */
export function encodeHalf(values: ArrayLike<number>): Uint16Array {
  const out = new Uint16Array(values.length);
  for (let i = 0; i < values.length; i++) out[i] = halfBits(values[i]!);
  return out;
}

const word = new Float32Array(1);
const bits = new Uint32Array(word.buffer);

function halfBits(value: number): number {
  word[0] = value;
  const x = bits[0]!;
  const sign = (x >>> 16) & 0x8000;
  const magnitude = x & 0x7fffffff;
  if (magnitude > 0x7f800000) return sign | 0x7e00;
  if (magnitude >= 0x477ff000) return sign | 0x7c00;
  if (magnitude >= 0x38800000) {
    const rebased = magnitude - 0x38000000;
    return sign | ((rebased + 0xfff + ((rebased >>> 13) & 1)) >>> 13);
  }
  // Subnormal halves are multiples of 2^-24; adding 0.5 in float32 rounds to them, ties to even.
  word[0] = Math.abs(value) + 0.5;
  return sign | (bits[0]! - 0x3f000000);
}

export function decodeHalf(halves: Uint16Array): Float32Array {
  const out = new Float32Array(halves.length);
  for (let i = 0; i < halves.length; i++) out[i] = halfValue(halves[i]!);
  return out;
}

function halfValue(half: number): number {
  const sign = half & 0x8000 ? -1 : 1;
  const exponent = (half >>> 10) & 31;
  const fraction = half & 1023;
  if (exponent === 31) return fraction ? Number.NaN : sign * Number.POSITIVE_INFINITY;
  if (exponent === 0) return sign * fraction * 2 ** -24;
  return sign * (1 + fraction / 1024) * 2 ** (exponent - 15);
}
