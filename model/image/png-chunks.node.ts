/** The chunks of a PNG as Node's buffers. */
import * as portable from "./png-chunks.ts";

export { imageError, type PngHeader, readHeader } from "./png-chunks.ts";

export interface PngChunk extends portable.PngChunk {
  readonly data: Buffer;
}

export const SIGNATURE = asBuffer(portable.SIGNATURE);

/** As `readChunks` in png-chunks.ts. */
export function readChunks(bytes: Uint8Array, name: string): PngChunk[] {
  return portable.readChunks(bytes, name).map(({ type, data }) => ({ type, data: asBuffer(data) }));
}

export function writeChunk(type: string, data: Uint8Array): Buffer {
  return asBuffer(portable.writeChunk(type, data));
}

/** The same bytes, not a copy. */
function asBuffer({ buffer, byteOffset, byteLength }: Uint8Array): Buffer {
  return Buffer.from(buffer, byteOffset, byteLength);
}
