/** PNG with nothing but the web platform, for browsers: pixels and texts, and the texts read back. */
import type { RgbaImage } from "../request.ts";
import { inflated } from "./decode-png.ts";
import { type PngChunk, readChunks, readHeader, SIGNATURE, writeChunk } from "./png-chunks.ts";

/** One text chunk: a keyword of 1..79 Latin-1 characters, and any text. */
export interface PngText {
  readonly keyword: string;
  readonly text: string;
}

/** The bytes of a PNG of 8 bits a channel: RGB where every pixel is opaque, else RGBA. */
export async function encodePng(
  image: RgbaImage,
  texts: readonly PngText[] = [],
): Promise<Uint8Array<ArrayBuffer>> {
  const channels = isOpaque(image.data) ? 3 : 4;
  const chunks = [
    SIGNATURE,
    writeChunk("IHDR", headerOf(image, channels)),
    ...texts.map(({ keyword, text }) => textChunk(keyword, text)),
    writeChunk("IDAT", await deflated(filtered(image, channels))),
    writeChunk("IEND", new Uint8Array()),
  ];
  return join(chunks);
}

function isOpaque(rgba: Uint8ClampedArray): boolean {
  for (let i = 3; i < rgba.length; i += 4) if (rgba[i] !== 255) return false;
  return true;
}

function headerOf({ width, height }: RgbaImage, channels: 3 | 4): Uint8Array {
  const header = new Uint8Array(13);
  const view = new DataView(header.buffer);
  view.setUint32(0, width);
  view.setUint32(4, height);
  header.set([8, channels === 3 ? 2 : 6], 8);
  return header;
}

/** Each line less the line above it, which suits painted pictures (filter 2, "up"). */
function filtered({ width, height, data }: RgbaImage, channels: 3 | 4): Uint8Array<ArrayBuffer> {
  const stride = 1 + channels * width;
  const lines = new Uint8Array(stride * height);
  for (let y = 0; y < height; y++) {
    lines[y * stride] = 2;
    for (let x = 0; x < width; x++) {
      for (let c = 0; c < channels; c++) {
        const at = 4 * (y * width + x) + c;
        const above = y > 0 ? data[at - 4 * width]! : 0;
        lines[y * stride + 1 + x * channels + c] = data[at]! - above;
      }
    }
  }
  return lines;
}

async function deflated(bytes: Uint8Array<ArrayBuffer>): Promise<Uint8Array> {
  const stream = new Blob([bytes]).stream().pipeThrough(new CompressionStream("deflate"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

function textChunk(keyword: string, text: string): Uint8Array {
  // PNG forbids NUL in text; it would end the text for most readers.
  const clean = text.replaceAll("\0", "");
  return /^[\t\n\r -~\u00a0-\u00ff]*$/.test(clean)
    ? writeChunk("tEXt", latin1(`${keyword}\0${clean}`))
    : writeChunk(
        "iTXt",
        join([latin1(`${keyword}\0\0\0\0\0`), new TextEncoder().encode(clean.toWellFormed())]),
      );
}

const latin1 = (text: string) => Uint8Array.from(text, (character) => character.charCodeAt(0));

function join(parts: readonly Uint8Array[]): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(parts.reduce((sum, { length }) => sum + length, 0));
  let at = 0;
  for (const part of parts) {
    whole.set(part, at);
    at += part.length;
  }
  return whole;
}

export interface PngSummary {
  readonly width: number;
  readonly height: number;
  readonly texts: readonly PngText[];
}

/**
 * The size and the texts of a PNG; the picture itself is not decoded. Foreign texts come back as they
 * are. Throws IMAGE_FORMAT, IMAGE_TRUNCATED, IMAGE_CORRUPT or IMAGE_SIZE for what is not a whole PNG.
 */
export async function readPng(bytes: Uint8Array, name = "the file"): Promise<PngSummary> {
  const chunks = readChunks(bytes, name);
  const { width, height } = readHeader(chunks, name);
  const texts = await Promise.all(chunks.map(textOf));
  return { width, height, texts: texts.filter((text) => text !== undefined) };
}

async function textOf({ type, data }: PngChunk): Promise<PngText | undefined> {
  if (type === "tEXt" || type === "zTXt") {
    const [keyword, rest] = splitAtNul(data);
    const text = type === "zTXt" ? rest && (await unfolded(rest.subarray(1))) : rest;
    return text && { keyword, text: decode(text, "latin1") };
  }
  if (type !== "iTXt") return undefined;
  const [keyword, rest] = splitAtNul(data);
  const [, afterLanguage] = splitAtNul(rest?.subarray(2));
  const [, stored] = splitAtNul(afterLanguage);
  const text = stored && rest?.[0] === 1 ? await unfolded(stored) : stored;
  return text && { keyword, text: decode(text, "utf-8") };
}

function splitAtNul(data: Uint8Array | undefined): [head: string, rest: Uint8Array | undefined] {
  const end = data?.indexOf(0) ?? -1;
  if (!data || end < 0) return ["", undefined];
  return [decode(data.subarray(0, end), "latin1"), data.subarray(end + 1)];
}

/** The web's "latin1" is windows-1252, PNG's is not. */
function decode(bytes: Uint8Array, encoding: "latin1" | "utf-8"): string {
  if (encoding === "utf-8") return new TextDecoder("utf-8", { ignoreBOM: true }).decode(bytes);
  return Array.from(bytes, (byte) => String.fromCharCode(byte)).join("");
}

/** A text that unfolds to more than 1 MiB is no text of a picture's maker: left out. */
async function unfolded(data: Uint8Array): Promise<Uint8Array | undefined> {
  const pieces: Uint8Array[] = [];
  let size = 0;
  try {
    for await (const piece of inflated([data])) {
      size += piece.length;
      if (size > 1 << 20) return undefined;
      pieces.push(piece);
    }
  } catch {
    return undefined;
  }
  return join(pieces);
}
