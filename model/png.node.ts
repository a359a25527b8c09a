/**
 * PNG with text. pngjs writes the picture; it knows no text chunks, so those are put in here
 * (PNG specification, 11.3.4: tEXt is Latin-1, iTXt is UTF-8) and read back.
 */
import { rename, rm, writeFile } from "node:fs/promises";
import { inflateSync } from "node:zlib";
import { PNG } from "pngjs";
import { DiffusionError } from "../engine/errors.ts";
import type { PngSummary, PngText } from "./image/encode-png.ts";
import { readChunks, readHeader, writeChunk } from "./image/png-chunks.node.ts";
import type { RgbaImage } from "./request.ts";

export type { PngSummary, PngText };

/** The bytes of a PNG of 8 bits a channel: RGB where every pixel is opaque, else RGBA. */
export function encodePng(image: RgbaImage, texts: readonly PngText[] = []): Buffer {
  const { width, height, data } = image;
  const png = new PNG({ width, height });
  png.data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const plain = PNG.sync.write(png, { colorType: isOpaque(data) ? 2 : 6, inputColorType: 6 });
  const chunks = texts.map(({ keyword, text }) => textChunk(keyword, text));
  return Buffer.concat([plain.subarray(0, AFTER_HEADER), ...chunks, plain.subarray(AFTER_HEADER)]);
}

export async function pngBlob(image: RgbaImage): Promise<Blob> {
  return new Blob([Uint8Array.from(encodePng(image))], { type: "image/png" });
}

/** Writes a PNG by way of a file beside it, which takes its place when it is whole. */
export async function savePng(image: RgbaImage, path: string): Promise<void> {
  const partial = `${path}.${process.pid}.part`;
  try {
    await writeFile(partial, encodePng(image), { flag: "wx" });
    await rename(partial, path);
  } catch (cause) {
    await rm(partial, { force: true });
    const { code, message } = cause as NodeJS.ErrnoException;
    throw new DiffusionError(
      code === "ENOSPC" ? "DISK_FULL" : "OUTPUT",
      `${path} cannot be written: ${message}`,
      { hint: "Check that the folder is there, may be written, and has room.", cause },
    );
  }
}

/** The signature and the IHDR chunk, which is always the first and has 13 bytes. */
const AFTER_HEADER = 8 + 12 + 13;

function isOpaque(rgba: Uint8ClampedArray): boolean {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] !== 255) return false;
  return true;
}

function textChunk(keyword: string, text: string): Buffer {
  // PNG forbids NUL in text; it would end the text for most readers.
  const clean = text.replaceAll("\0", "");
  return isLatin1(clean)
    ? writeChunk("tEXt", Buffer.from(`${keyword}\0${clean}`, "latin1"))
    : writeChunk("iTXt", Buffer.from(`${keyword}\0\0\0\0\0${clean}`, "utf8"));
}

function isLatin1(text: string): boolean {
  return /^[\t\n\r -~\u00a0-\u00ff]*$/.test(text);
}

/**
 * The size and the texts of a PNG; the picture itself is not decoded, and nothing is allocated
 * beyond the file and 1 MiB for a compressed text. Foreign texts come back as they are: escape
 * them before a terminal sees them. Throws IMAGE_FORMAT, IMAGE_TRUNCATED, IMAGE_CORRUPT or
 * IMAGE_SIZE for what is not a whole PNG.
 */
export function readPng(bytes: Uint8Array, name = "the file"): PngSummary {
  const chunks = readChunks(bytes, name);
  const { width, height } = readHeader(chunks, name);
  const texts = chunks.map(({ type, data }) => TEXT_READERS[type]?.(data));
  return { width, height, texts: texts.filter((text) => text !== undefined) };
}

const TEXT_READERS: Readonly<Record<string, (data: Buffer) => PngText | undefined>> = {
  tEXt(data) {
    const [keyword, rest] = splitAtNul(data);
    return rest && { keyword, text: rest.toString("latin1") };
  },
  zTXt(data) {
    const [keyword, rest] = splitAtNul(data);
    const text = rest && inflate(rest.subarray(1));
    return text && { keyword, text: text.toString("latin1") };
  },
  iTXt(data) {
    const [keyword, rest] = splitAtNul(data);
    const compressed = rest?.[0] === 1;
    const [, afterLanguage] = splitAtNul(rest?.subarray(2));
    const [, stored] = splitAtNul(afterLanguage);
    const text = stored && (compressed ? inflate(stored) : stored);
    return text && { keyword, text: text.toString("utf8") };
  },
};

function splitAtNul(data: Buffer | undefined): [head: string, rest: Buffer | undefined] {
  const end = data?.indexOf(0) ?? -1;
  if (!data || end < 0) return ["", undefined];
  return [data.toString("latin1", 0, end), data.subarray(end + 1)];
}

/** A text that unfolds to more than 1 MiB is no text of a picture's maker: left out. */
function inflate(data: Buffer): Buffer | undefined {
  try {
    return inflateSync(data, { maxOutputLength: 1 << 20 });
  } catch {
    return undefined;
  }
}
