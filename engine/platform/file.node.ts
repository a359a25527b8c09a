/** Files of Node as byte sources: positional reads, so that 4 GiB and more are no matter. */
import { type FileHandle, open } from "node:fs/promises";
import { DiffusionError } from "../errors.ts";
import type { ByteSource } from "../safetensors.ts";

/** The largest single read. Larger ones are split: the kernel refuses 2 GiB, and memory is shared. */
export const MAX_READ_BYTES = 64 * 1024 * 1024;

/**
 * Opens the file at `path` for reading. Throws WEIGHTS_MISSING if it is not there, not a file or
 * not readable; `read` throws WEIGHTS_TRUNCATED beyond the file's end.
 */
export async function openFile(path: string): Promise<ByteSource> {
  const { handle, size } = await openHandle(path);
  return {
    name: path,
    size,
    read: (offset, length) => readExactly(handle, path, size, offset, length),
    close: () => handle.close(),
  };
}

async function openHandle(path: string): Promise<{ handle: FileHandle; size: number }> {
  let handle: FileHandle | undefined;
  try {
    handle = await open(path, "r");
    const stat = await handle.stat();
    if (stat.isFile()) return { handle, size: stat.size };
  } catch (cause) {
    await handle?.close();
    throw missing(path, (cause as NodeJS.ErrnoException).code, cause);
  }
  await handle.close();
  throw missing(path, "EISDIR");
}

const REASONS: Record<string, readonly [reason: string, hint: string]> = {
  ENOENT: ["does not exist", "check the path, or fetch the model: `wgsl-diffusion download`"],
  ENOTDIR: ["does not exist: a part of its path is a file", "check the path"],
  EISDIR: ["is not a file", "name the .safetensors file, or the model's folder"],
  EACCES: ["may not be read", "check its permissions"],
  EPERM: ["may not be read", "check its permissions"],
  EMFILE: ["cannot be opened: too many files are open", "raise `ulimit -n`"],
};

/** A WEIGHTS_MISSING error for `path` from the error code of Node's fs. */
export function missing(path: string, code = "", cause?: unknown): DiffusionError {
  const [reason, hint] = REASONS[code] ?? [`cannot be opened (${code})`, "check the path"];
  return new DiffusionError("WEIGHTS_MISSING", `${path} ${reason}`, { hint, cause });
}

async function readExactly(
  handle: FileHandle,
  path: string,
  size: number,
  offset: number,
  length: number,
): Promise<Uint8Array> {
  // Before anything is allocated: a wrong length must not cost memory.
  if (!(offset >= 0 && length >= 0 && offset + length <= size)) {
    throw truncated(path, offset, length, size);
  }
  const bytes = new Uint8Array(length);
  let done = 0;
  while (done < length) {
    const part = Math.min(length - done, MAX_READ_BYTES);
    const { bytesRead } = await handle.read(bytes, done, part, offset + done);
    if (bytesRead === 0) throw truncated(path, offset, length, offset + done);
    done += bytesRead;
  }
  return bytes;
}

function truncated(path: string, offset: number, length: number, size: number): DiffusionError {
  const message = `${path}: bytes [${offset}, ${offset + length}) were wanted; it has ${size}`;
  const hint = "the file is incomplete, or was changed while it was read: download it again";
  return new DiffusionError("WEIGHTS_TRUNCATED", message, { hint });
}
