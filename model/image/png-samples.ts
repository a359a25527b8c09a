/** A PNG's samples as they are in the file, and as a picture of bytes. */
import type { RgbImage } from "./image.ts";
import { imageError, type PngHeader, viewOf } from "./png-chunks.ts";

/** No picture of a network's is near it, and decoding needs up to 20 bytes a pixel. */
export const MAX_PIXELS = 4096 * 4096;

/** Throws IMAGE_SIZE for more pixels than that. */
export function checkPixels({ width, height }: PngHeader, name: string): void {
  if (width * height <= MAX_PIXELS) return;
  const megapixels = Math.round((width * height) / 1e6);
  throw imageError(
    "IMAGE_SIZE",
    `${name} is ${width}x${height}, ${megapixels} megapixels; at most ${MAX_PIXELS / 2 ** 20} are read`,
  );
}

export interface PngSamples {
  readonly header: PngHeader;
  /** RGBA at the file's own depth; palettes are looked up. */
  readonly data: Uint8Array | Uint16Array;
  /** There where the file has transparency beside its samples: is the pixel at this index clear? */
  readonly clear: ((data: PngSamples["data"], at: number) => boolean) | undefined;
}

/** RGB, or RGBA where the file has alpha or names a transparent colour: 8 bits, as Pillow's `convert("RGB")`. */
export function imageOf({ header, data, clear }: PngSamples): RgbImage {
  const { width, height, depth, colorType } = header;
  const toByte = colorType === 3 ? (sample: number) => sample : BYTES[depth]!;
  const alphas = (colorType & 4) !== 0 || clear !== undefined;
  const made = new Uint8Array(width * height * (alphas ? 4 : 3));
  for (let from = 0, to = 0; from < data.length; from += 4) {
    for (let c = 0; c < 3; c++) made[to++] = toByte(data[from + c]!);
    if (alphas) made[to++] = clear?.(data, from) ? 0 : toByte(data[from + 3]!);
  }
  return { width, height, data: made };
}

const BYTES: Readonly<Record<number, (sample: number) => number>> = {
  1: (sample) => sample * 255,
  2: (sample) => sample * 85,
  4: (sample) => sample * 17,
  8: (sample) => sample,
  16: (sample) => sample >> 8,
};

export const SAMPLES: Readonly<Record<PngHeader["colorType"], number>> = {
  0: 1,
  2: 3,
  3: 1,
  4: 2,
  6: 4,
};

/** First column and row, and the steps, of the seven passes of Adam7 (PNG specification, 8.2). */
export const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** Bytes of the scan lines, each with the byte that names its filter. */
export function rawBytes({ width, height, depth, colorType, interlaced }: PngHeader): number {
  const bits = depth * SAMPLES[colorType];
  const passes = interlaced ? ADAM7 : [[0, 0, 1, 1] as const];
  return passes.reduce((sum, [x, y, dx, dy]) => {
    const columns = Math.ceil((width - x) / dx);
    const rows = Math.ceil((height - y) / dy);
    return columns > 0 && rows > 0 ? sum + rows * (1 + Math.ceil((columns * bits) / 8)) : sum;
  }, 0);
}

/** tRNS names one colour for grey and RGB; a palette's alphas are in the samples already. */
export function clearTest({ colorType }: PngHeader, key: Uint8Array): PngSamples["clear"] {
  if (colorType >= 3) return colorType === 3 ? () => false : undefined;
  const color = (c: number) => (key.length >= 2 * c + 2 ? viewOf(key).getUint16(2 * c) : -1);
  const [red, green, blue] = colorType === 0 ? [0, 0, 0].map(color) : [0, 1, 2].map(color);
  return (data, at) => data[at] === red && data[at + 1] === green && data[at + 2] === blue;
}
