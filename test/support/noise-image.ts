/** Pictures from a formula, the same as `noise` in tools/reference/images.py, and sums of samples. */
import { createHash } from "node:crypto";
import type { RgbImage } from "../../model/image/image.ts";

export function noise(count: number, seed: number): Uint8Array {
  return Uint8Array.from({ length: count }, (_, i) => {
    let x = Math.imul(i + seed * 7919, 0x9e3779b1);
    x = Math.imul(x ^ (x >>> 15), 0x85ebca6b);
    return (x ^ (x >>> 13)) & 255;
  });
}

export function noiseImage(
  [height, width]: readonly [number, number],
  seed: number,
  channels = 3,
): RgbImage {
  return { width, height, data: noise(width * height * channels, seed) };
}

/** What a fixture says of samples: their SHA-256, and the first of them to look at. */
export interface Digest {
  readonly sha256: string;
  readonly first: readonly number[];
}

/** The digest of bytes, or of float32 with -0 written as 0. */
export function digest(samples: Uint8Array | Uint8ClampedArray | Float32Array): Digest {
  const plain = samples instanceof Float32Array ? samples.map((x) => x + 0) : samples;
  const bytes = new Uint8Array(plain.buffer, plain.byteOffset, plain.byteLength);
  return {
    sha256: createHash("sha256").update(bytes).digest("hex"),
    first: [...plain.subarray(0, 12)],
  };
}
