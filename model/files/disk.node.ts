/** A model's folder on a disk. */
import { readdir } from "node:fs/promises";
import { basename, join, resolve } from "node:path";
import { missing, openFile } from "../../engine/platform/file.node.ts";
import { readText } from "../../engine/platform/text-file.node.ts";
import { cachedModelId } from "../hub/model-id.ts";
import type { ModelFiles } from "./files.ts";

export function diskFiles(path: string): ModelFiles {
  return {
    path,
    name: cachedModelId(resolve(path)) ?? basename(resolve(path)),
    where: (name) => join(path, name),
    readText: (name, code) => readText(join(path, name), code),
    open: (name) => openFile(join(path, name)),
    async list(folder) {
      try {
        return await readdir(join(path, folder));
      } catch (cause) {
        throw missing(join(path, folder), (cause as NodeJS.ErrnoException).code, cause);
      }
    },
  };
}
