/** Whatever a path names: a diffusers folder, or a single file in the original's layout. */
import { DiffusionError } from "../engine/errors.ts";
import { isFolder } from "../engine/platform/text-file.node.ts";
import { predictionNamed } from "./detect.ts";
import { type ModelFolder, openFolder } from "./folder.node.ts";
import type { OpenOptions } from "./open-options.ts";
import { openModelFile } from "./single-file.node.ts";

/**
 * Opens the model at `path`; no weights yet. Throws BAD_REQUEST for an option that does not fit, and what
 * `openFolder` and `openModelFile` throw.
 */
export async function openModel(path: string, options: OpenOptions = {}): Promise<ModelFolder> {
  const prediction = predictionNamed(options.prediction);
  if (options.prediction !== undefined && prediction === undefined) {
    const shown = JSON.stringify(options.prediction)?.slice(0, 40);
    throw new DiffusionError("BAD_REQUEST", `prediction must be "eps" or "v" (got ${shown})`);
  }
  if (!(await isFolder(path))) return openModelFile(path, { config: options.config, prediction });
  if (options.config === undefined) return openFolder(path, { prediction });
  const message = `${path} is a folder, which has its own configuration; \`config\` is for single files`;
  throw new DiffusionError("BAD_REQUEST", message, { hint: "Leave `config` out." });
}
