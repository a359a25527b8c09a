/** Whatever a path names: a diffusers folder, or a single file in the original's layout. */
import { DiffusionError } from "../engine/errors.ts";
import { missing, openFile } from "../engine/platform/file.node.ts";
import { isFolder } from "../engine/platform/text-file.node.ts";
import { diskFiles } from "./files/disk.node.ts";
import type { ModelFiles } from "./files/files.ts";
import { type ModelSource, type OpenedSource, openChosen } from "./files/model-source.ts";
import type { ModelFolder } from "./model-folder.ts";
import type { OpenOptions } from "./open-options.ts";
import { checkedPrediction, openSource } from "./open-source.ts";
import { openSingleFile } from "./single-file.ts";

/**
 * Opens the model at a path, or in files that were chosen; no weights yet. `config` is a folder as
 * diffusers writes it. Throws WEIGHTS_MISSING, CONFIG (no such folder), and what `openSource` throws.
 */
export async function openModel(
  source: ModelSource,
  options: OpenOptions = {},
): Promise<ModelFolder> {
  checkedPrediction(options);
  const chosen = await openChosen(source);
  const config = await configFiles(options.config);
  const opened = chosen ?? (await openPath(pathOf(source)));
  return openSource(opened, options, config, async () => openSingleFile);
}

async function openPath(path: string): Promise<OpenedSource> {
  if (await isFolder(path)) return { files: diskFiles(path) };
  return { single: await openFile(path) };
}

function pathOf(source: ModelSource): string {
  if (typeof source === "string") return source;
  throw new DiffusionError("BAD_REQUEST", "a model is named by a path, as a string");
}

async function configFiles(config: ModelSource | undefined): Promise<ModelFiles | undefined> {
  if (config === undefined) return undefined;
  const chosen = await openChosen(config);
  if (chosen && "files" in chosen) return chosen.files;
  const path = pathOf(config);
  if (await isFolder(path)) return diskFiles(path);
  const { message, hint = "" } = missing(path, "ENOENT");
  throw new DiffusionError("CONFIG", message, { hint });
}
