/** From opened files to a model: a diffusers folder, or a single file in the original's layout. */
import { DiffusionError } from "../engine/errors.ts";
import { type PredictionType, predictionNamed } from "./detect.ts";
import { type ModelFiles, readJson } from "./files/files.ts";
import type { OpenedSource } from "./files/model-source.ts";
import { openFolderFiles } from "./folder.ts";
import type { ModelFolder } from "./model-folder.ts";
import type { OpenOptions } from "./open-options.ts";
import type { ConfigFiles, openSingleFile } from "./single-file.ts";
import { readTokenizer } from "./tokenizer-folder.ts";

/** What `prediction` says. Throws BAD_REQUEST. */
export function checkedPrediction({ prediction }: OpenOptions): PredictionType | undefined {
  const named = predictionNamed(prediction);
  if (prediction === undefined || named !== undefined) return named;
  const shown = JSON.stringify(prediction)?.slice(0, 40);
  throw new DiffusionError("BAD_REQUEST", `prediction must be "eps" or "v" (got ${shown})`);
}

/**
 * Opens a model; no weights yet. `single` brings the code for the original's names and rules, where it is
 * needed: a page that opens folders does without. Owns a single file's source from then on. Throws BAD_REQUEST for an
 * option that does not fit, and what `openFolderFiles` and `openSingleFile` throw.
 */
export async function openSource(
  opened: OpenedSource,
  options: OpenOptions,
  config: ModelFiles | undefined,
  single: () => Promise<typeof openSingleFile>,
): Promise<ModelFolder> {
  const prediction = checkedPrediction(options);
  if ("files" in opened) {
    if (options.config !== undefined) throw needless(opened.files.path);
    return openFolderFiles(opened.files, { prediction, variant: options.variant });
  }
  try {
    const configs = config ? await readConfigs(config) : {};
    const openSingle = await single();
    return await openSingle(opened.single, { config: configs, prediction });
  } catch (error) {
    await opened.single.close();
    throw error;
  }
}

function needless(path: string): DiffusionError {
  const message = `${path} is a folder, which has its own configuration; \`config\` is for single files`;
  return new DiffusionError("BAD_REQUEST", message, { hint: "Leave `config` out." });
}

/** Only the JSON files and `tokenizer/` are read, each if it is there. */
async function readConfigs(files: ModelFiles): Promise<ConfigFiles> {
  const json = (name: string) => readJson(files, name, "CONFIG");
  const tokenizer = await files.list("tokenizer").catch(() => []);
  return {
    textEncoder: await json("text_encoder/config.json"),
    unet: await json("unet/config.json"),
    vae: await json("vae/config.json"),
    scheduler: await json("scheduler/scheduler_config.json"),
    tokenizer: tokenizer.length > 0 ? await readTokenizer(files) : undefined,
  };
}
