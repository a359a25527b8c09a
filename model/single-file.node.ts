/** A single file on a disk, and the folder of configuration files beside it. */
import { join } from "node:path";
import { DiffusionError } from "../engine/errors.ts";
import { missing, openFile } from "../engine/platform/file.node.ts";
import { isFolder, readJson } from "../engine/platform/text-file.node.ts";
import type { PredictionType } from "./detect.ts";
import type { ModelFolder } from "./folder.node.ts";
import { type ConfigFiles, openSingleFile } from "./single-file.ts";
import { readTokenizer } from "./tokenizer-folder.node.ts";

/**
 * Opens the checkpoint at `path` in the original's layout; `config` is a folder as diffusers writes it,
 * of which only the JSON files and `tokenizer/` are read, each if it is there.
 * Throws WEIGHTS_MISSING, CONFIG (no such folder), and what `openSingleFile` throws.
 */
export async function openModelFile(
  path: string,
  options: { config?: string | undefined; prediction?: PredictionType | undefined } = {},
): Promise<ModelFolder> {
  const { prediction } = options;
  const config = options.config === undefined ? {} : await readConfigs(options.config);
  const source = await openFile(path);
  try {
    return await openSingleFile(source, { config, prediction });
  } catch (error) {
    await source.close();
    throw error;
  }
}

async function readConfigs(folder: string): Promise<ConfigFiles> {
  if (!(await isFolder(folder))) {
    const { message, hint = "" } = missing(folder, "ENOENT");
    throw new DiffusionError("CONFIG", message, { hint });
  }
  const json = (...names: string[]) => readJson(join(folder, ...names), "CONFIG");
  const tokenizer = join(folder, "tokenizer");
  return {
    textEncoder: await json("text_encoder", "config.json"),
    unet: await json("unet", "config.json"),
    vae: await json("vae", "config.json"),
    scheduler: await json("scheduler", "scheduler_config.json"),
    tokenizer: (await isFolder(tokenizer)) ? await readTokenizer(tokenizer) : undefined,
  };
}
