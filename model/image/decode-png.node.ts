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
import { checkPixels, clearTest, imageOf, type PngSamples, rawBytes } from "./png-samples.ts";

/** RGB, or RGBA where the file has alpha or names a transparent colour. Throws IMAGE_*. */
export function decodePng(bytes: Uint8Array, name = "the file"): RgbImage {
  return imageOf(decodeSamples(bytes, name));
}

/** The samples as they are in the file. Throws IMAGE_* before anything large is allocated. */
export function decodeSamples(bytes: Uint8Array, name: string): PngSamples {
  const chunks = readChunks(bytes, name);
  const header = readHeader(chunks, name);
  const { colorType } = header;
  checkPixels(header, name);
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
