/** Small text and JSON files of Node, read whole. */
import { readFile, stat } from "node:fs/promises";
import { DiffusionError, type ErrorCode } from "../errors.ts";

/** CLIP's vocab.json has 1 MB; a file far above that is not what its name says. */
const MAX_TEXT_BYTES = 32 * 1024 * 1024;

/** A folder that is missing, or is a file, holds no file either. */
const ABSENT: readonly (string | undefined)[] = ["ENOENT", "ENOTDIR"];

/** The text at `path`, or undefined if there is no such file. Throws `code` if it cannot be read. */
export async function readText(path: string, code: ErrorCode): Promise<string | undefined> {
  try {
    const { size } = await stat(path);
    if (size > MAX_TEXT_BYTES) throw new RangeError(`it has ${size} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(await readFile(path));
  } catch (cause) {
    if (ABSENT.includes((cause as NodeJS.ErrnoException).code)) return undefined;
    throw new DiffusionError(code, `${path} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The JSON value at `path`, or undefined if there is no such file. Throws `code` if it is no JSON. */
export async function readJson(path: string, code: ErrorCode): Promise<unknown> {
  const text = await readText(path, code);
  if (text === undefined) return undefined;
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DiffusionError(code, `${path} is not JSON: ${(cause as Error).message}`, { cause });
  }
}

/** Whether there is a folder at `path`. */
export async function isFolder(path: string): Promise<boolean> {
  try {
    return (await stat(path)).isDirectory();
  } catch {
    return false;
  }
}
