/** What `--model` names: a folder or file of this machine, or a checkpoint of the hub. */
import { existsSync } from "node:fs";
import { DiffusionError } from "../../engine/errors.ts";
import { type DownloadOptions, downloadModel, jobOf } from "./download.node.ts";
import { findCached } from "./lookup.node.ts";
import { isModelId, isUrl } from "./model-id.ts";

/**
 * A local path for `nameOrPath`. A folder or file that exists wins; else "org/name" and links are
 * looked up in the cache, and fetched if something of them is missing there. What is cached whole is
 * taken without asking the hub: `downloadModel` looks for something newer. Any other name is returned
 * as it is, for whoever opens it to say that it is missing. Throws as `downloadModel`.
 */
export async function resolveModel(
  nameOrPath: string,
  options: DownloadOptions = {},
): Promise<string> {
  if (!isUrl(nameOrPath)) {
    if (existsSync(nameOrPath)) return nameOrPath;
    if (!nameOrPath.includes("/") || !isModelId(nameOrPath)) return nameOrPath;
  }
  const cached = options.force ? undefined : await findCached(jobOf(nameOrPath, options));
  if (cached) return cached.path;
  try {
    return (await downloadModel(nameOrPath, options)).path;
  } catch (error) {
    throw isUrl(nameOrPath) ? error : notHereEither(error, nameOrPath);
  }
}

/** "models/mine" may have been meant as a folder. */
function notHereEither(error: unknown, name: string): unknown {
  if (!(error instanceof DiffusionError) || error.code !== "HUB_404") return error;
  const message = `there is no folder ${name} here, and ${error.message}`;
  const hint = error.hint === undefined ? {} : { hint: error.hint };
  return new DiffusionError("HUB_404", message, { ...hint, cause: error });
}
