/** A diffusers folder on a disk. */
import { diskFiles } from "./files/disk.node.ts";
import { type FolderOptions, openFolderFiles } from "./folder.ts";
import type { ModelFolder } from "./model-folder.ts";

export type { FolderOptions } from "./folder.ts";
export type { DepthComponent, ModelFolder, WeightComponent } from "./model-folder.ts";

/** Opens the diffusers folder at `path`; see `openFolderFiles`. */
export function openFolder(path: string, options: FolderOptions = {}): Promise<ModelFolder> {
  return openFolderFiles(diskFiles(path), options);
}
