/**
 * PNG with text. pngjs writes the picture; it knows no text chunks, so those are put in here
 * (PNG specification, 11.3.4: tEXt is Latin-1, iTXt is UTF-8) and read back.
 */
import { rename, rm, writeFile } from "node:fs/promises";
import { crc32, inflateSync } from "node:zlib";
import { PNG } from "pngjs";
import { DiffusionError } from "../engine/errors.ts";
import type { RgbaImage } from "./request.ts";

/** One text chunk: a keyword of 1..79 Latin-1 characters, and any text. */
export interface PngText {
  readonly keyword: string;
  readonly text: string;
}

/** The bytes of a PNG of 8 bits a channel: RGB where every pixel is opaque, else RGBA. */
export function encodePng(image: RgbaImage, texts: readonly PngText[] = []): Buffer {
  const { width, height, data } = image;
  const png = new PNG({ width, height });
  png.data = Buffer.from(data.buffer, data.byteOffset, data.byteLength);
  const plain = PNG.sync.write(png, { colorType: isOpaque(data) ? 2 : 6, inputColorType: 6 });
  const chunks = texts.map(({ keyword, text }) => textChunk(keyword, text));
  return Buffer.concat([plain.subarray(0, AFTER_HEADER), ...chunks, plain.subarray(AFTER_HEADER)]);
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

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

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
    ? chunk("tEXt", Buffer.from(`${keyword}\0${clean}`, "latin1"))
    : chunk("iTXt", Buffer.from(`${keyword}\0\0\0\0\0${clean}`, "utf8"));
}

function isLatin1(text: string): boolean {
  return /^[\t\n\r -~\u00a0-\u00ff]*$/.test(text);
}

function chunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}

export interface PngSummary {
  readonly width: number;
  readonly height: number;
  readonly texts: readonly PngText[];
}

/**
 * The size and the texts of a PNG; the picture itself is not decoded, and nothing is allocated
 * beyond the file and 1 MiB for a compressed text. Foreign texts come back as they are: escape
 * them before a terminal sees them. Throws IMAGE for what is not a whole PNG.
 */
export function readPng(bytes: Uint8Array, name = "the file"): PngSummary {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!file.subarray(0, 8).equals(SIGNATURE)) throw imageError(`${name} is not a PNG`);
  const texts: PngText[] = [];
  let size: [width: number, height: number] | undefined;
  for (const { type, data } of chunks(file, name)) {
    if (type === "IHDR" && data.length === 13) size = [data.readUInt32BE(0), data.readUInt32BE(4)];
    const text = TEXT_READERS[type]?.(data);
    if (text) texts.push(text);
  }
  if (!size) throw imageError(`${name} is a PNG without its header`);
  return { width: size[0], height: size[1], texts };
}

function* chunks(file: Buffer, name: string): Generator<{ type: string; data: Buffer }> {
  for (let at = 8; at < file.length; ) {
    if (at + 12 > file.length) break;
    const length = file.readUInt32BE(at);
    const type = file.toString("latin1", at + 4, at + 8);
    const end = at + 12 + length;
    if (end > file.length) break;
    if (crc32(file.subarray(at + 4, end - 4)) !== file.readUInt32BE(end - 4))
      throw imageError(`${name}: the checksum of ${JSON.stringify(type)} at byte ${at} is wrong`);
    yield { type, data: file.subarray(at + 8, end - 4) };
    if (type === "IEND") return;
    at = end;
  }
  throw imageError(`${name} is cut off: the PNG has no end after ${file.length} bytes`);
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

function imageError(message: string): DiffusionError {
  return new DiffusionError("IMAGE", message, { hint: "Name a PNG file that opens in a viewer." });
}
