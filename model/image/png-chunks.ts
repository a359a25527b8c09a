/** The chunks of a PNG (PNG specification, 5 and 11.2.1), checked before anything trusts them. */
import { DiffusionError, type ErrorCode } from "../../engine/errors.ts";
import { recogniseImage } from "./kind.ts";

export interface PngChunk {
  readonly type: string;
  readonly data: Uint8Array;
}

export interface PngHeader {
  readonly width: number;
  readonly height: number;
  /** Bits of a sample: 1, 2, 4, 8 or 16. */
  readonly depth: number;
  readonly colorType: ColorType;
  readonly interlaced: boolean;
}

/** 0 grey, 2 RGB, 3 palette, 4 grey and alpha, 6 RGBA. */
export type ColorType = 0 | 2 | 3 | 4 | 6;

/** The depths that go with each color type (PNG specification, table 11.1). */
const DEPTHS: Readonly<Record<number, readonly number[]>> = {
  0: [1, 2, 4, 8, 16],
  2: [8, 16],
  3: [1, 2, 4, 8],
  4: [8, 16],
  6: [8, 16],
};

export const SIGNATURE = Uint8Array.of(0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a);

/** All chunks up to IEND. Throws IMAGE_FORMAT, IMAGE_TRUNCATED, or IMAGE_CORRUPT for a checksum. */
export function readChunks(file: Uint8Array, name: string): PngChunk[] {
  if (!startsAsPng(file, SIGNATURE.length)) throw notPng(file, name);
  const view = viewOf(file);
  const chunks: PngChunk[] = [];
  for (let at = 8; at + 12 <= file.length; ) {
    const type = String.fromCharCode(...file.subarray(at + 4, at + 8));
    const end = at + 12 + view.getUint32(at);
    if (end > file.length) break;
    if (crc32(file.subarray(at + 4, end - 4)) !== view.getUint32(end - 4))
      throw imageError(
        "IMAGE_CORRUPT",
        `${name}: the checksum of ${shown(type)} at byte ${at} is wrong`,
      );
    chunks.push({ type, data: file.subarray(at + 8, end - 4) });
    if (type === "IEND") return chunks;
    at = end;
  }
  throw imageError(
    "IMAGE_TRUNCATED",
    `${name} is cut off: the PNG has no end after ${file.length} bytes`,
  );
}

function startsAsPng(file: Uint8Array, length: number): boolean {
  return SIGNATURE.subarray(0, length).every((byte, i) => file[i] === byte);
}

export function viewOf({ buffer, byteOffset, byteLength }: Uint8Array): DataView {
  return new DataView(buffer, byteOffset, byteLength);
}

function notPng(file: Uint8Array, name: string): DiffusionError {
  if (file.length < 8 && startsAsPng(file, file.length))
    return imageError("IMAGE_TRUNCATED", `${name} is cut off: it has only ${file.length} bytes`);
  const kind = recogniseImage(file) ?? "not a PNG";
  return imageError("IMAGE_FORMAT", `${name} is ${kind}`);
}

function shown(type: string): string {
  return JSON.stringify(type);
}

/** What IHDR says. Throws IMAGE_CORRUPT for what no PNG can be, and IMAGE_SIZE for no pixels. */
export function readHeader([first]: readonly PngChunk[], name: string): PngHeader {
  if (first?.type !== "IHDR" || first.data.length !== 13)
    throw imageError("IMAGE_CORRUPT", `${name} is a PNG without its header`);
  const { data } = first;
  const [width, height] = [viewOf(data).getUint32(0), viewOf(data).getUint32(4)];
  const [depth, colorType, compression, filter, interlace] = [...data.subarray(8)] as [
    ...[number, number, number, number, number],
  ];
  if (!DEPTHS[colorType]?.includes(depth) || compression > 0 || filter > 0 || interlace > 1)
    throw imageError(
      "IMAGE_CORRUPT",
      `${name}: its header asks for ${depth} bits of color type ${colorType}, compression ${compression}, filter ${filter}, interlace ${interlace}: no PNG has those`,
    );
  if (width === 0 || height === 0)
    throw imageError("IMAGE_SIZE", `${name} is ${width}x${height}: it has no pixels`);
  return { width, height, depth, colorType: colorType as ColorType, interlaced: interlace === 1 };
}

export function writeChunk(type: string, data: Uint8Array): Uint8Array<ArrayBuffer> {
  const whole = new Uint8Array(data.length + 12);
  const body = whole.subarray(4, data.length + 8);
  body.set([...type].map((character) => character.charCodeAt(0)));
  body.set(data, 4);
  viewOf(whole).setUint32(0, data.length);
  viewOf(whole).setUint32(data.length + 8, crc32(body));
  return whole;
}

/** PNG specification, annex D. */
function crc32(bytes: Uint8Array): number {
  let crc = 0xffffffff;
  for (const byte of bytes) crc = CRC_TABLE[(crc ^ byte) & 0xff]! ^ (crc >>> 8);
  return (crc ^ 0xffffffff) >>> 0;
}

const CRC_TABLE = Uint32Array.from({ length: 256 }, (_, byte) => {
  let crc = byte;
  for (let bit = 0; bit < 8; bit++) crc = crc & 1 ? 0xedb88320 ^ (crc >>> 1) : crc >>> 1;
  return crc;
});

export function imageError(code: ErrorCode, message: string, cause?: unknown): DiffusionError {
  return new DiffusionError(code, message, {
    hint: "Name a PNG file that opens in a viewer.",
    cause,
  });
}
