/** The chunks of a PNG (PNG specification, 5 and 11.2.1), checked before anything trusts them. */
import { crc32 } from "node:zlib";
import { DiffusionError, type ErrorCode } from "../../engine/errors.ts";
import { recogniseImage } from "./kind.ts";

export interface PngChunk {
  readonly type: string;
  readonly data: Buffer;
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

export const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

/** All chunks up to IEND. Throws IMAGE_FORMAT, IMAGE_TRUNCATED, or IMAGE_CORRUPT for a checksum. */
export function readChunks(bytes: Uint8Array, name: string): PngChunk[] {
  const file = Buffer.from(bytes.buffer, bytes.byteOffset, bytes.byteLength);
  if (!file.subarray(0, 8).equals(SIGNATURE)) throw notPng(file, name);
  const chunks: PngChunk[] = [];
  for (let at = 8; at + 12 <= file.length; ) {
    const type = file.toString("latin1", at + 4, at + 8);
    const end = at + 12 + file.readUInt32BE(at);
    if (end > file.length) break;
    if (crc32(file.subarray(at + 4, end - 4)) !== file.readUInt32BE(end - 4))
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

function notPng(file: Buffer, name: string): DiffusionError {
  if (file.length < 8 && SIGNATURE.subarray(0, file.length).equals(file))
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
  const [width, height] = [data.readUInt32BE(0), data.readUInt32BE(4)];
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

export function writeChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type, "latin1"), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc32(body), body.length + 4);
  return whole;
}

export function imageError(code: ErrorCode, message: string, cause?: unknown): DiffusionError {
  return new DiffusionError(code, message, {
    hint: "Name a PNG file that opens in a viewer.",
    cause,
  });
}
