/** The files of one model, wherever they are: on a disk, on a server, in a browser's storage, dropped on a page. */
import { DiffusionError, type ErrorCode } from "../../engine/errors.ts";
import type { ByteSource } from "../../engine/safetensors.ts";

/** Names are relative to the model's folder, with slashes: "unet/config.json". */
export interface ModelFiles {
  /** What messages call it: a path, an address, an id. */
  readonly path: string;
  /** What a picture says of its model: the folder's own name, or its id on the hub. */
  readonly name: string;
  /** The names of the files in `folder`. Throws WEIGHTS_MISSING where there is no such folder. */
  list(folder: string): Promise<readonly string[]>;
  /** The text of a small file, or undefined if there is none. Throws `code` if it cannot be read. */
  readText(name: string, code: ErrorCode): Promise<string | undefined>;
  /** A large file, to be read in pieces. Throws WEIGHTS_MISSING. */
  open(name: string): Promise<ByteSource>;
  /** What messages call a file of it. */
  where(name: string): string;
}

/** CLIP's vocab.json has 1 MB; a file far above that is not what its name says. */
export const MAX_TEXT_BYTES = 32 * 1024 * 1024;

/** The text in `bytes`. Throws `code` if they are too many or no UTF-8. */
export function decodeText(bytes: Uint8Array, where: string, code: ErrorCode): string {
  try {
    if (bytes.length > MAX_TEXT_BYTES) throw new RangeError(`it has ${bytes.length} bytes`);
    return new TextDecoder("utf-8", { fatal: true }).decode(bytes);
  } catch (cause) {
    throw new DiffusionError(code, `${where} cannot be read: ${(cause as Error).message}`, {
      cause,
    });
  }
}

/** The JSON value in the file `name`, or undefined if there is none. Throws `code` if it is no JSON. */
export async function readJson(
  files: Pick<ModelFiles, "readText" | "where">,
  name: string,
  code: ErrorCode,
): Promise<unknown> {
  const text = await files.readText(name, code);
  return text === undefined ? undefined : parseJson(text, files.where(name), code);
}

/** Throws `code` for what is no JSON. */
export function parseJson(text: string, where: string, code: ErrorCode): unknown {
  try {
    return JSON.parse(text);
  } catch (cause) {
    throw new DiffusionError(code, `${where} is not JSON: ${(cause as Error).message}`, { cause });
  }
}
