/** A file of the cache while it comes: `blobs/HASH.incomplete`, hashed as it grows. */
import { createHash, type Hash } from "node:crypto";
import { type FileHandle, mkdir, open, rename, statfs } from "node:fs/promises";
import { dirname, join } from "node:path";
import { DiffusionError } from "../../engine/errors.ts";
import type { RemoteFile } from "./listing.ts";
import type { PartialFile } from "./transfer.ts";

export interface PartialBlob extends PartialFile {
  /** Of the bytes that are there, in the kind of the file's own hash. */
  hash(): string;
  /** Flushes it to the disk and gives it its name. */
  finish(): Promise<void>;
  /** What came stays, for the next time. */
  close(): Promise<void>;
}

const CHUNK = 4 * 2 ** 20;

export const incompletePath = (blobs: string, { hash }: RemoteFile) =>
  join(blobs, `${hash}.incomplete`);

/** Opens what an earlier try left, or a new file. Throws DISK_FULL and OUTPUT. */
export async function openPartial(blobs: string, file: RemoteFile): Promise<PartialBlob> {
  const path = incompletePath(blobs, file);
  return orWriteFault(path, async () => {
    await mkdir(blobs, { recursive: true });
    // Not "a+": on some systems that ignores positions.
    const handle = await open(path, "r+").catch(() => open(path, "w+"));
    const hasher = hasherOf(file);
    return partialBlob(handle, path, join(blobs, file.hash), {
      ...{ file, hasher, size: await hashAll(handle, hasher) },
    });
  });
}

interface State {
  readonly file: RemoteFile;
  hasher: Hash;
  size: number;
}

function partialBlob(handle: FileHandle, path: string, final: string, state: State): PartialBlob {
  return {
    get size() {
      return state.size;
    },
    append: (bytes) =>
      orWriteFault(path, async () => {
        await writeAll(handle, bytes, state.size);
        state.hasher.update(bytes);
        state.size += bytes.length;
      }),
    clear: () =>
      orWriteFault(path, async () => {
        await handle.truncate(0);
        state.hasher = hasherOf(state.file);
        state.size = 0;
      }),
    hash: () => state.hasher.copy().digest("hex"),
    finish: () =>
      orWriteFault(path, async () => {
        await handle.sync();
        await handle.close();
        await rename(path, final);
        await flushFolder(dirname(final));
      }),
    close: () => handle.close(),
  };
}

/** SHA-256, or Git's hash of a blob: SHA-1 of "blob SIZE\0" and the content. */
function hasherOf({ hash, size }: RemoteFile): Hash {
  return hash.length === 64 ? createHash("sha256") : createHash("sha1").update(`blob ${size}\0`);
}

/** Hashes what is there and returns its size. */
async function hashAll(handle: FileHandle, hasher: Hash): Promise<number> {
  const buffer = new Uint8Array(CHUNK);
  let at = 0;
  for (;;) {
    const { bytesRead } = await handle.read(buffer, 0, CHUNK, at);
    if (bytesRead === 0) return at;
    hasher.update(buffer.subarray(0, bytesRead));
    at += bytesRead;
  }
}

async function writeAll(handle: FileHandle, bytes: Uint8Array, at: number): Promise<void> {
  let done = 0;
  while (done < bytes.length) {
    const { bytesWritten } = await handle.write(bytes, done, bytes.length - done, at + done);
    done += bytesWritten;
  }
}

/** Makes the name itself durable; not every platform can open a folder. */
async function flushFolder(folder: string): Promise<void> {
  const handle = await open(folder, "r").catch(() => undefined);
  await handle?.sync().catch(() => {});
  await handle?.close();
}

/** Throws DISK_FULL if `need` more bytes do not fit where `folder` is, or will be. */
export async function checkSpace(folder: string, need: number): Promise<void> {
  const free = await freeBytes(folder);
  if (free === undefined || need <= free) return;
  throw new DiffusionError(
    "DISK_FULL",
    `${folder}: needs ${gigabytes(need)}, has ${gigabytes(free)}`,
    {
      hint: "Free some space, name another folder (--cache-dir, HF_HOME), or take --variant fp16.",
    },
  );
}

async function freeBytes(folder: string): Promise<number | undefined> {
  try {
    const { bavail, bsize } = await statfs(folder);
    return bavail * bsize;
  } catch (error) {
    const parent = dirname(folder);
    const missing = (error as NodeJS.ErrnoException).code === "ENOENT" && parent !== folder;
    return missing ? freeBytes(parent) : undefined;
  }
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;

/** Runs `work`; a fault of the file system becomes DISK_FULL or OUTPUT, naming `path`. */
export async function orWriteFault<T>(path: string, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (error) {
    const { code = "", message, syscall } = error as NodeJS.ErrnoException;
    // Only the file system's: an interruption passes.
    if (error instanceof DiffusionError || syscall === undefined) throw error;
    if (["ENOSPC", "EDQUOT", "EFBIG"].includes(code))
      throw new DiffusionError("DISK_FULL", `${path}: the disk is full`, {
        hint: "Free some space and run it again: it goes on where it stopped.",
        cause: error,
      });
    throw new DiffusionError("OUTPUT", `the cache cannot be written: ${message}`, {
      hint: "Name another folder: --cache-dir, HF_HUB_CACHE or HF_HOME.",
      cause: error,
    });
  }
}
