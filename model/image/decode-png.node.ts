/**
 * PNG to bytes as Pillow's `convert("RGB")` gives them. pngjs decodes, but trusts what it is given
 * and answers with riddles, so it only sees files that are known to be whole and of a known size.
 *
 * 16-bit samples give their high byte, as Pillow does with colours (it cuts 16-bit grey off at 255:
 * that is not copied).
 */
import { inflateSync } from "node:zlib";
import { PNG } from "pngjs";
import type { RgbImage } from "./image.ts";
import {
  imageError,
  type PngChunk,
  type PngHeader,
  readChunks,
  readHeader,
  SIGNATURE,
  writeChunk,
} from "./png-chunks.node.ts";

/** No picture of a network's is near it, and decoding needs up to 20 bytes a pixel. */
export const MAX_PIXELS = 4096 * 4096;

/** RGB, or RGBA where the file has alpha or names a transparent colour. Throws IMAGE_*. */
export function decodePng(bytes: Uint8Array, name = "the file"): RgbImage {
  const { header, data, clear } = decodeSamples(bytes, name);
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

export interface PngSamples {
  readonly header: PngHeader;
  /** RGBA at the file's own depth; palettes are looked up. */
  readonly data: Uint8Array | Uint16Array;
  /** There where the file has transparency beside its samples: is the pixel at this index clear? */
  readonly clear: ((data: PngSamples["data"], at: number) => boolean) | undefined;
}

/** The samples as they are in the file. Throws IMAGE_* before anything large is allocated. */
export function decodeSamples(bytes: Uint8Array, name: string): PngSamples {
  const chunks = readChunks(bytes, name);
  const header = readHeader(chunks, name);
  const { width, height, colorType } = header;
  if (width * height > MAX_PIXELS)
    throw imageError(
      "IMAGE_SIZE",
      `${name} is ${width}x${height}, ${Math.round((width * height) / 1e6)} megapixels; at most ${MAX_PIXELS / 2 ** 20} are read`,
    );
  const pixels = compressedPixels(chunks, header, name);
  const transparency = chunks.find(({ type }) => type === "tRNS")?.data;
  // pngjs would paint pixels of a transparent colour black, so it is not told about that colour.
  const palette = colorType === 3 ? chunks.filter(({ type }) => /PLTE|tRNS/.test(type)) : [];
  const data = decode([chunks[0]!, ...palette, { type: "IDAT", data: pixels }], name);
  return { header, data, clear: transparency && clearTest(header, transparency) };
}

/** The IDAT chunks in one, known to unfold to exactly the pixels: no more, whatever they promise. */
function compressedPixels(chunks: readonly PngChunk[], header: PngHeader, name: string): Buffer {
  const parts = chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data);
  const expected = rawBytes(header);
  const pixels = Buffer.concat(parts);
  const size = unfoldedSize(pixels, expected, name);
  if (size === expected) return pixels;
  throw imageError(
    "IMAGE_TRUNCATED",
    `${name} holds ${size} bytes of pixels; ${header.width}x${header.height} need ${expected}`,
  );
}

function unfoldedSize(data: Buffer, expected: number, name: string): number {
  try {
    return inflateSync(data, { maxOutputLength: expected }).length;
  } catch (cause) {
    const { code } = cause as NodeJS.ErrnoException;
    if (code === "Z_BUF_ERROR")
      throw imageError("IMAGE_TRUNCATED", `${name}: its pixels are cut off`, cause);
    const what =
      code === "ERR_BUFFER_TOO_LARGE"
        ? `its pixels unfold to more than the ${expected} bytes of its size`
        : "its pixels cannot be unfolded";
    throw imageError("IMAGE_CORRUPT", `${name}: ${what}`, cause);
  }
}

const SAMPLES: Readonly<Record<PngHeader["colorType"], number>> = { 0: 1, 2: 3, 3: 1, 4: 2, 6: 4 };

/** First column and row, and the steps, of the seven passes of Adam7 (PNG specification, 8.2). */
const ADAM7 = [
  [0, 0, 8, 8],
  [4, 0, 8, 8],
  [0, 4, 4, 8],
  [2, 0, 4, 4],
  [0, 2, 2, 4],
  [1, 0, 2, 2],
  [0, 1, 1, 2],
] as const;

/** Bytes of the scan lines, each with the byte that names its filter. */
function rawBytes({ width, height, depth, colorType, interlaced }: PngHeader): number {
  const bits = depth * SAMPLES[colorType];
  const passes = interlaced ? ADAM7 : [[0, 0, 1, 1] as const];
  return passes.reduce((sum, [x, y, dx, dy]) => {
    const columns = Math.ceil((width - x) / dx);
    const rows = Math.ceil((height - y) / dy);
    return columns > 0 && rows > 0 ? sum + rows * (1 + Math.ceil((columns * bits) / 8)) : sum;
  }, 0);
}

function decode(chunks: readonly PngChunk[], name: string): PngSamples["data"] {
  const parts = chunks.map(({ type, data }) => writeChunk(type, data));
  const file = Buffer.concat([SIGNATURE, ...parts, writeChunk("IEND", Buffer.alloc(0))]);
  try {
    return PNG.sync.read(file, { skipRescale: true }).data;
  } catch (cause) {
    const { message } = cause as Error;
    throw imageError("IMAGE_CORRUPT", `${name} cannot be decoded: ${message}`, cause);
  }
}

/** tRNS names one colour for grey and RGB; a palette's alphas are in the samples already. */
function clearTest({ colorType }: PngHeader, key: Buffer): PngSamples["clear"] {
  if (colorType >= 3) return colorType === 3 ? () => false : undefined;
  const color = (c: number) => (key.length >= 2 * c + 2 ? key.readUInt16BE(2 * c) : -1);
  const [red, green, blue] = colorType === 0 ? [0, 0, 0].map(color) : [0, 1, 2].map(color);
  return (data, at) => data[at] === red && data[at + 1] === green && data[at + 2] === blue;
}
