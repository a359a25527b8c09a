/** Files that a user chose: a File, the files of a folder, a folder's handle. Read lazily, piece by piece. */
import { DiffusionError } from "../../engine/errors.ts";
import type { ByteSource } from "../../engine/safetensors.ts";
import { decodeText, type ModelFiles } from "./files.ts";

/** The bytes of `blob`. `read` throws WEIGHTS_TRUNCATED beyond its end, or if the file was changed. */
export function blobSource(blob: Blob, name: string): ByteSource {
  return {
    name,
    size: blob.size,
    async read(offset, length) {
      if (!(offset >= 0 && length >= 0 && offset + length <= blob.size)) {
        const wanted = `bytes [${offset}, ${offset + length}) were wanted; it has ${blob.size}`;
        throw changed(`${name}: ${wanted}`);
      }
      return readBlob(blob.slice(offset, offset + length), name);
    },
    close: async () => {},
  };
}

async function readBlob(blob: Blob, name: string): Promise<Uint8Array> {
  try {
    return new Uint8Array(await blob.arrayBuffer());
  } catch (cause) {
    throw changed(`${name} cannot be read any more`, cause);
  }
}

function changed(message: string, cause?: unknown): DiffusionError {
  return new DiffusionError("WEIGHTS_TRUNCATED", message, {
    hint: "the file was changed, moved or taken away: choose it again",
    cause,
  });
}

/** A chosen or dropped file, with its path in the folder that was chosen. */
export interface NamedBlob {
  readonly path: string;
  readonly blob: Blob;
}

/**
 * The folder of a model among these files: that which holds model_index.json. Throws WEIGHTS_MISSING if
 * there is none, or two.
 */
export function chosenFiles(files: readonly NamedBlob[]): ModelFiles {
  const byPath = new Map(files.map(({ path, blob }) => [path.replace(/^\/+/, ""), blob]));
  const indexes = [...byPath.keys()].filter((path) => /(?:^|\/)model_index\.json$/.test(path));
  const [index] = indexes;
  if (index === undefined || indexes.length > 1) throw notOne(indexes, [...byPath.keys()]);
  const root = index.slice(0, -"model_index.json".length);
  const name = root.split("/").at(-2) || "folder";
  return blobFolder(name, async (path) => byPath.get(root + path), {
    async list(folder) {
      const start = `${root}${folder}/`;
      return [...byPath.keys()]
        .filter((path) => path.startsWith(start))
        .map((path) => path.slice(start.length))
        .filter((rest) => !rest.includes("/"));
    },
  });
}

function notOne(indexes: readonly string[], paths: readonly string[]): DiffusionError {
  const shown = indexes.length > 1 ? indexes : paths;
  const what = indexes.length > 1 ? "hold several models" : "hold no model_index.json";
  return new DiffusionError(
    "WEIGHTS_MISSING",
    `the chosen files ${what} (${shown.slice(0, 4).join(", ") || "none"})`,
    { hint: "Choose one model's folder as diffusers writes it, or one .safetensors file." },
  );
}

/** A folder by its handle, of `showDirectoryPicker`, a drop, or the origin's private files. */
export function directoryFiles(handle: FileSystemDirectoryHandle): ModelFiles {
  return blobFolder(handle.name || "folder", (path) => fileAt(handle, path), {
    async list(folder) {
      const found = await directoryAt(handle, folder.split("/"));
      if (!found) throw missing(`${handle.name}/${folder}`);
      const names: string[] = [];
      // TypeScript's own types lack the iteration.
      const entries = found as unknown as AsyncIterable<[string, FileSystemHandle]>;
      for await (const [name, entry] of entries) if (entry.kind === "file") names.push(name);
      return names;
    },
  });
}

async function fileAt(root: FileSystemDirectoryHandle, path: string): Promise<Blob | undefined> {
  const parts = path.split("/");
  const folder = await directoryAt(root, parts.slice(0, -1));
  const file = await folder?.getFileHandle(parts.at(-1)!).catch(absent);
  return file?.getFile();
}

async function directoryAt(
  root: FileSystemDirectoryHandle,
  parts: readonly string[],
): Promise<FileSystemDirectoryHandle | undefined> {
  let at: FileSystemDirectoryHandle | undefined = root;
  for (const part of parts) at = await at?.getDirectoryHandle(part).catch(absent);
  return at;
}

function absent(error: unknown): undefined {
  const { name } = error as Error;
  if (name === "NotFoundError" || name === "TypeMismatchError") return undefined;
  throw error;
}

function blobFolder(
  name: string,
  at: (path: string) => Promise<Blob | undefined>,
  { list }: Pick<ModelFiles, "list">,
): ModelFiles {
  const where = (path: string) => `${name}/${path}`;
  return {
    ...{ path: name, name, where, list },
    async readText(path, code) {
      const blob = await at(path);
      return blob && decodeText(await readBlob(blob, where(path)), where(path), code);
    },
    async open(path) {
      const blob = await at(path);
      if (!blob) throw missing(where(path));
      return blobSource(blob, where(path));
    },
  };
}

function missing(where: string): DiffusionError {
  return new DiffusionError("WEIGHTS_MISSING", `${where} does not exist`, {
    hint: "choose the model's whole folder",
  });
}
