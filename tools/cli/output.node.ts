/**
 * Where results go. A file appears whole or not at all, and no file is lost: it is written under
 * another name in the same folder, flushed, then given its name.
 */
import { randomUUID } from "node:crypto";
import {
  accessSync,
  closeSync,
  constants,
  existsSync,
  fsyncSync,
  linkSync,
  openSync,
  readdirSync,
  renameSync,
  rmSync,
  statSync,
  writeFileSync,
} from "node:fs";
import { dirname, extname, join } from "node:path";
import { DiffusionError } from "../../engine/errors.ts";

/** Checked before any work: `write` finds the names, so that results of two runs do not collide. */
export interface Output {
  readonly kind: "png" | "safetensors" | "stdout";
  /** Writes result `index` of `count` and returns the name it was given. */
  write(data: Uint8Array, index: number, count: number): string;
}

export interface OutputOptions {
  /** As given with -o; undefined is `out.png` with a number where that is taken. */
  readonly path?: string | undefined;
  /** Overwrite what is there. */
  readonly force?: boolean | undefined;
  readonly count: number;
  /** Where `-o -` goes. */
  readonly stdout: (data: Uint8Array) => void;
}

/**
 * Throws BAD_REQUEST (extension), PATH (a name that cannot be one), OUTPUT (the folder is not there
 * or not writable, the file exists): before the picture is painted, not after.
 */
export function openOutput(options: OutputOptions): Output {
  if (options.path === "-") return standardOutput(options);
  const { path = "out.png", force = false, count } = options;
  return fileOutput(path, { force, count, numbered: options.path === undefined });
}

function standardOutput({ count, stdout }: OutputOptions): Output {
  if (count > 1)
    throw new DiffusionError("BAD_REQUEST", `-o - takes one picture (got --num-images ${count})`);
  return {
    kind: "stdout",
    write(data) {
      stdout(data);
      return "-";
    },
  };
}

interface FileOptions {
  readonly force: boolean;
  readonly count: number;
  /** Find a free number rather than fail. */
  readonly numbered: boolean;
}

function fileOutput(path: string, { force, count, numbered }: FileOptions): Output {
  const kind = kindOf(path);
  const folder = dirname(path);
  checkFolder(folder);
  const taken = names(path, count).find((name) => existsSync(name));
  if (taken !== undefined && !numbered) checkReplaceable(taken, force);
  removeLeftovers(folder);
  return {
    kind,
    write(data, index, count) {
      if (!numbered || force) return place(data, names(path, count)[index] as string, force);
      return firstFree(path, count > 1, (name) => place(data, name, false));
    },
  };
}

function kindOf(path: string): "png" | "safetensors" {
  if (path === "" || path.includes("\0"))
    throw new DiffusionError("PATH", `${JSON.stringify(path)} cannot be a file's name`);
  const extension = extname(path).toLowerCase();
  if (extension === ".png") return "png";
  if (extension === ".safetensors") return "safetensors";
  throw new DiffusionError("BAD_REQUEST", `-o ${path}: the name must end in .png or .safetensors`);
}

function checkFolder(folder: string): void {
  try {
    if (!statSync(folder).isDirectory()) throw outputError(`${folder} is not a folder`);
    accessSync(folder, constants.W_OK);
  } catch (error) {
    throw writeError(error, folder);
  }
}

function checkReplaceable(path: string, force: boolean): void {
  if (!statSync(path).isFile()) throw outputError(`${path} is there and is not a plain file`);
  if (!force) throw outputError(`${path} is there already`, "Say --force to overwrite it.");
}

/** `a.png` for one, `a-0001.png`, `a-0002.png`, ... for several. */
function names(path: string, count: number): string[] {
  if (count === 1) return [path];
  return Array.from({ length: count }, (_, i) => withNumber(path, i + 1));
}

function withNumber(path: string, number: number): string {
  const extension = extname(path);
  const stem = path.slice(0, path.length - extension.length);
  return `${stem}-${String(number).padStart(4, "0")}${extension}`;
}

/** Tries `path` (unless `numberAll`), `path`-0001, ... until `put` finds a name that is free. */
function firstFree(path: string, numberAll: boolean, put: (name: string) => string): string {
  for (let number = numberAll ? 1 : 0; ; number++) {
    const name = number === 0 ? path : withNumber(path, number);
    if (existsSync(name)) continue;
    try {
      return put(name);
    } catch (error) {
      // Another process took the name in between.
      if ((error as { cause?: NodeJS.ErrnoException }).cause?.code !== "EEXIST") throw error;
    }
  }
}

/** Writes `data` whole under a name of its own, then moves it to `path`. */
function place(data: Uint8Array, path: string, force: boolean): string {
  const folder = dirname(path);
  const part = join(folder, `${PART}${process.pid}-${randomUUID()}`);
  try {
    writeFlushed(part, data);
    // link refuses a name that is taken, rename does not.
    if (force) renameSync(part, path);
    else linkOrRename(part, path);
    flushFolder(folder);
    return path;
  } catch (error) {
    throw writeError(error, path);
  } finally {
    removeQuietly(part);
  }
}

/** Then the process id, by which a later run tells whether the file is still being written. */
const PART = ".wgsl-diffusion-part-";

/** A fault in clearing up must not hide the one that it follows. */
function removeQuietly(path: string): void {
  try {
    rmSync(path, { force: true });
  } catch {
    // A later run removes it.
  }
}

function writeFlushed(path: string, data: Uint8Array): void {
  const file = openSync(path, "wx");
  try {
    writeFileSync(file, data);
    fsyncSync(file);
  } finally {
    closeSync(file);
  }
}

function linkOrRename(from: string, to: string): void {
  try {
    linkSync(from, to);
  } catch (error) {
    // Some file systems (FAT, network shares) have no links.
    if ((error as NodeJS.ErrnoException).code === "EEXIST" || existsSync(to)) throw error;
    renameSync(from, to);
  }
}

/** Makes the name itself durable; not every platform can open a folder. */
function flushFolder(folder: string): void {
  try {
    const handle = openSync(folder, "r");
    fsyncSync(handle);
    closeSync(handle);
  } catch {
    // The data are safe; the name will be soon.
  }
}

/** Unfinished files of processes that are gone (killed while writing). */
function removeLeftovers(folder: string): void {
  const leftovers = readableNames(folder)
    .filter((name) => isLeftover(name))
    .map((name) => join(folder, name));
  // The age, because a process in another container is not among ours and yet alive.
  for (const path of leftovers)
    if (Date.now() - statSync(path).mtimeMs > 600_000) removeQuietly(path);
}

function readableNames(folder: string): string[] {
  try {
    return readdirSync(folder);
  } catch {
    return [];
  }
}

function isLeftover(name: string): boolean {
  const pid = name.startsWith(PART) ? /^\d+/.exec(name.slice(PART.length))?.[0] : undefined;
  return pid !== undefined && !isAlive(Number(pid));
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

const WRITE_FAULTS: Readonly<Record<string, string>> = {
  ENOENT: "the folder is not there",
  ENOTDIR: "a part of the path is not a folder",
  EACCES: "no permission to write there",
  EPERM: "no permission to write there",
  EROFS: "the file system is read-only",
  EEXIST: "it is there already",
  EISDIR: "it is a folder",
  ENAMETOOLONG: "the name is too long",
};

/** What a failed write means: DISK_FULL or OUTPUT, with the path. */
export function writeError(error: unknown, path: string): DiffusionError {
  if (error instanceof DiffusionError) return error;
  const { code = "", message } = error as NodeJS.ErrnoException;
  if (["ENOSPC", "EDQUOT", "EFBIG"].includes(code))
    return new DiffusionError("DISK_FULL", `${path}: the disk is full`, {
      hint: "Nothing half-written was left. Free some space, or name another folder with -o.",
      cause: error,
    });
  return outputError(`${path}: ${WRITE_FAULTS[code] ?? message}`, OTHER_FOLDER, error);
}

const OTHER_FOLDER = "Name another file with -o.";

function outputError(message: string, hint = OTHER_FOLDER, cause?: unknown): DiffusionError {
  return new DiffusionError("OUTPUT", message, { hint, cause });
}
