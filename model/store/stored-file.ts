/** A file in parts: it grows in a store while it comes, and is read from there when it is whole. */
import { sha1 } from "@noble/hashes/legacy.js";
import { sha256 } from "@noble/hashes/sha2.js";
import { bytesToHex, utf8ToBytes } from "@noble/hashes/utils.js";
import type { ByteSource } from "../../engine/safetensors.ts";
import type { RemoteFile } from "../hub/listing.ts";
import type { PartialFile } from "../hub/transfer.ts";
import type { PartStore } from "./part-store.ts";

/** Of each part but the last. */
export const PART_BYTES = 16 * 2 ** 20;

/** Hashing this much takes a few milliseconds: a page's own thread goes on in between. */
const SLICE = 2 ** 20;

/** The name of a file's content: its hash, or for one of unknown hash what its server says of it. */
export function contentName(file: RemoteFile): string {
  if (file.hash !== "") return file.hash;
  return `u${bytesToHex(sha256(utf8ToBytes(JSON.stringify([file.url, file.etag, file.size]))))}`;
}

const partName = (file: RemoteFile, index: number) => `${contentName(file)}.${index}`;
const doneName = (file: RemoteFile) => `${contentName(file)}.done`;

/** Whether all of the file came, and was found right. */
export async function isStored(store: PartStore, file: RemoteFile): Promise<boolean> {
  return (await store.get(doneName(file))) !== undefined;
}

/** The bytes of the file that are there. */
export async function storedBytes(store: PartStore, file: RemoteFile): Promise<number> {
  if (await isStored(store, file)) return file.size;
  let size = 0;
  for (let index = 0; ; index++) {
    const part = await store.get(partName(file, index));
    size += part?.size ?? 0;
    if (part?.size !== PART_BYTES) return Math.min(size, file.size);
  }
}

export interface GrowingFile extends PartialFile {
  /** Of the bytes that are there, in the kind of the file's own hash; "" where that is not known. */
  hash(): string;
  /** Notes that it is whole and right. */
  finish(): Promise<void>;
  /** What came stays, for the next time. */
  close(): Promise<void>;
}

/** Goes on where an earlier try stopped. Its methods throw DISK_FULL. */
export async function openGrowing(store: PartStore, file: RemoteFile): Promise<GrowingFile> {
  let hasher = hasherOf(file);
  const tail = new Uint8Array(Math.min(PART_BYTES, file.size));
  let index = 0;
  let filled = 0;
  for (; ; index++) {
    const part = await store.get(partName(file, index));
    if (!part || part.size > PART_BYTES) break;
    await hashBlob(part, hasher);
    if (part.size === PART_BYTES) continue;
    tail.set(new Uint8Array(await part.arrayBuffer()));
    filled = part.size;
    break;
  }
  const flush = () => store.put(partName(file, index), tail.slice(0, filled));
  return {
    get size() {
      return index * PART_BYTES + filled;
    },
    async append(bytes) {
      for (let done = 0; done < bytes.length; ) {
        const piece = bytes.subarray(done, done + Math.min(PART_BYTES - filled, SLICE));
        if (filled + piece.length > tail.length)
          throw new RangeError("more bytes than the file has");
        tail.set(piece, filled);
        hasher.update(piece);
        filled += piece.length;
        done += piece.length;
        if (filled < PART_BYTES) continue;
        await flush();
        [index, filled] = [index + 1, 0];
      }
    },
    async clear() {
      await dropParts(store, file);
      [index, filled, hasher] = [0, 0, hasherOf(file)];
    },
    hash: () => (file.hash === "" ? "" : bytesToHex(hasher.clone().digest())),
    async finish() {
      if (filled > 0) await flush();
      await store.put(doneName(file), new Uint8Array());
    },
    async close() {
      if (filled > 0) await flush();
    },
  };
}

/** SHA-256, or Git's hash of a blob: SHA-1 of "blob SIZE\0" and the content. */
function hasherOf({ hash, size }: RemoteFile) {
  if (hash.length === 40) return sha1.create().update(utf8ToBytes(`blob ${size}\0`));
  return sha256.create();
}

async function hashBlob(blob: Blob, hasher: { update(bytes: Uint8Array): unknown }): Promise<void> {
  for (let at = 0; at < blob.size; at += SLICE) {
    hasher.update(new Uint8Array(await blob.slice(at, at + SLICE).arrayBuffer()));
  }
}

/** Forgets the file. */
export async function dropParts(store: PartStore, file: RemoteFile): Promise<void> {
  await store.delete(doneName(file));
  const last = Math.floor(file.size / PART_BYTES);
  for (let index = 0; index <= last; index++) await store.delete(partName(file, index));
}

/**
 * A whole file, part by part. `fetchPart` brings a part that the browser has evicted since; what it
 * throws, `read` throws.
 */
export function storedSource(
  store: PartStore,
  file: RemoteFile,
  name: string,
  fetchPart: (begin: number, end: number) => Promise<Uint8Array<ArrayBuffer>>,
): ByteSource {
  const part = async (index: number): Promise<Blob> => {
    const begin = index * PART_BYTES;
    const end = Math.min(file.size, begin + PART_BYTES);
    const found = await store.get(partName(file, index));
    if (found?.size === end - begin) return found;
    const bytes = await fetchPart(begin, end);
    await store.put(partName(file, index), bytes).catch(() => {});
    return new Blob([bytes]);
  };
  return {
    name,
    size: file.size,
    async read(offset, length) {
      const bytes = new Uint8Array(length);
      for (let done = 0; done < length; ) {
        const at = offset + done;
        const [index, from] = [Math.floor(at / PART_BYTES), at % PART_BYTES];
        const to = Math.min(PART_BYTES, from + length - done);
        const blob = await part(index);
        bytes.set(new Uint8Array(await blob.slice(from, to).arrayBuffer()), done);
        done += to - from;
      }
      return bytes;
    },
    close: async () => {},
  };
}
