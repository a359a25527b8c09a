/** What `fromPretrained` opens. */
import type { ByteSource } from "../../engine/safetensors.ts";
import { blobSource, chosenFiles, directoryFiles, type NamedBlob } from "./blob-files.ts";
import type { ModelFiles } from "./files.ts";

/**
 * In Node a path; in a browser the address of a folder ("./models/shapes/") or of a file, "org/name" on
 * the hub, or a link there. In both, files that a user chose: one File, the files of a folder (with
 * `webkitRelativePath`, or a path of one's own), a folder's or a file's handle.
 */
export type ModelSource =
  | string
  | URL
  | Blob
  | readonly (File | NamedBlob)[]
  | FileSystemDirectoryHandle
  | FileSystemFileHandle;

/** A diffusers folder, or a single file. */
export type OpenedSource = { readonly files: ModelFiles } | { readonly single: ByteSource };

/** Undefined for a name or an address. Throws WEIGHTS_MISSING for files among which there is no model. */
export async function openChosen(source: ModelSource): Promise<OpenedSource | undefined> {
  if (typeof source === "string" || source instanceof URL) return undefined;
  if (source instanceof Blob) return { single: blobSource(source, nameOf(source)) };
  if (!("kind" in source)) return openList(source.map(named));
  if (source.kind === "directory") {
    return { files: directoryFiles(source as FileSystemDirectoryHandle) };
  }
  const file = await (source as FileSystemFileHandle).getFile();
  return { single: blobSource(file, nameOf(file)) };
}

/** One file that is no folder's is the model itself. */
function openList(files: readonly NamedBlob[]): OpenedSource {
  const [only] = files;
  if (files.length === 1 && only && !only.path.endsWith(".json"))
    return { single: blobSource(only.blob, only.path) };
  return { files: chosenFiles(files) };
}

function named(file: File | NamedBlob): NamedBlob {
  if ("blob" in file) return file;
  return { path: file.webkitRelativePath || file.name, blob: file };
}

function nameOf(blob: Blob): string {
  return (blob as Partial<File>).name || "the file";
}
