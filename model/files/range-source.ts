/** A file on a server, read where it is wanted: one request for each large tensor, one for many small ones. */
import { DiffusionError } from "../../engine/errors.ts";
import type { ByteSource } from "../../engine/safetensors.ts";
import type { HubConnection } from "../hub/connection.ts";
import type { Asked } from "../hub/faults.ts";
import type { RemoteFile } from "../hub/listing.ts";
import { type Piece, transfer } from "../hub/transfer.ts";

/** Tensors below this are read with their neighbours: a UNet has 400 that are smaller than 6 kB. */
const BLOCK_BYTES = 2 * 2 ** 20;

/** Blocks that are kept: a network asks for its tensors in nearly the order of the file. */
const KEPT_BLOCKS = 4;

export function rangeSource(
  file: RemoteFile,
  name: string,
  hub: HubConnection,
  asked: Asked,
): ByteSource {
  const blocks = new Map<number, Promise<Uint8Array>>();
  let { etag } = file;
  const fetch = (begin: number, end: number) =>
    fetchPiece(file, { begin, end, etag }, hub, asked, (found) => {
      // From the first answer on, the file must stay the same.
      etag ??= found;
    });
  const block = (index: number): Promise<Uint8Array> => {
    const known = blocks.get(index);
    // Most recently used comes last.
    blocks.delete(index);
    const begin = index * BLOCK_BYTES;
    const bytes = known ?? fetch(begin, Math.min(file.size, begin + BLOCK_BYTES));
    blocks.set(index, bytes);
    bytes.catch(() => blocks.delete(index));
    const [oldest] = blocks.keys();
    if (blocks.size > KEPT_BLOCKS && oldest !== undefined) blocks.delete(oldest);
    return bytes;
  };
  return {
    name,
    size: file.size,
    async read(offset, length) {
      if (!(offset >= 0 && length >= 0 && offset + length <= file.size)) {
        const message = `${name}: bytes [${offset}, ${offset + length}) were wanted; it has ${file.size}`;
        throw new DiffusionError("WEIGHTS_TRUNCATED", message, {
          hint: "the file on the server is incomplete: take another",
        });
      }
      if (length >= BLOCK_BYTES) return fetch(offset, offset + length);
      const first = Math.floor(offset / BLOCK_BYTES);
      const from = offset - first * BLOCK_BYTES;
      const head = await block(first);
      if (from + length <= head.length) return head.slice(from, from + length);
      const bytes = new Uint8Array(length);
      bytes.set(head.subarray(from));
      const rest = length - (head.length - from);
      bytes.set((await block(first + 1)).subarray(0, rest), length - rest);
      return bytes;
    },
    async close() {
      blocks.clear();
    },
  };
}

/** The bytes of one piece, resumed where the connection breaks. Throws NETWORK. */
export async function fetchPiece(
  file: RemoteFile,
  piece: Piece,
  hub: HubConnection,
  asked: Asked,
  onEtag: (etag: string | undefined) => void = () => {},
): Promise<Uint8Array<ArrayBuffer>> {
  const bytes = new Uint8Array(piece.end - piece.begin);
  let size = 0;
  const partial = {
    get size() {
      return size;
    },
    async append(more: Uint8Array) {
      bytes.set(more, size);
      size += more.length;
    },
    async clear() {
      size = 0;
    },
  };
  onEtag(await transfer(file, partial, hub, asked, () => {}, piece));
  return bytes;
}
