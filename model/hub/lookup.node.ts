/** Checkpoints that are in the cache, without asking the hub. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DiffusionError } from "../../engine/errors.ts";
import { readJson } from "../../engine/platform/text-file.node.ts";
import { cachedFiles, fileSize } from "./cache.node.ts";
import { chooseFiles } from "./choose.ts";
import type { Downloaded, Job } from "./download.node.ts";

/** What the cache holds for the job, if nothing of it is missing. */
export async function findCached(job: Job): Promise<Downloaded | undefined> {
  const { asked, cache } = job;
  const commit = await cache.commitOf(asked.revision);
  if (commit === undefined) return undefined;
  const folder = cache.snapshot(commit);
  const present = await cachedFiles(folder);
  const files = asked.file ? [asked.file] : await chosen(folder, present, job);
  if (!files?.every((file) => present.includes(file))) return undefined;
  const sizes = await Promise.all(files.map((file) => fileSize(cache.file(commit, file))));
  return {
    ...{ id: asked.id, revision: asked.revision, commit, files },
    path: asked.file ? cache.file(commit, asked.file) : folder,
    bytes: sizes.reduce<number>((sum, size) => sum + (size ?? 0), 0),
    ...{ fetchedBytes: 0, warnings: [] },
  };
}

/** The rule that chose what to fetch says what is whole; where it throws, something is missing. */
async function chosen(
  folder: string,
  present: readonly string[],
  { asked, options }: Job,
): Promise<readonly string[] | undefined> {
  try {
    const { files } = await chooseFiles(present, {
      ...{ name: asked.id, variant: options.variant },
      readJson: (path) => readJson(join(folder, path), "CONFIG"),
    });
    return files;
  } catch (error) {
    if (error instanceof DiffusionError) return undefined;
    throw error;
  }
}

export function offlineFault({ asked, settings }: Job): DiffusionError {
  const what = asked.file ? `${asked.file} of ${asked.id}` : asked.id;
  const message = `${what} (${asked.revision}) is not, or not wholly, in the cache ${settings.cacheDir}`;
  return new DiffusionError("NETWORK", `offline, and ${message}`, {
    hint: "Without HF_HUB_OFFLINE it would be fetched; or name a folder: --model DIR.",
  });
}

/** `error`; if the network failed and the cache has the checkpoint, the hint says so. */
export async function withCachedHint(error: unknown, job: Job): Promise<unknown> {
  if (!(error instanceof DiffusionError) || !["NETWORK", "HUB_404"].includes(error.code))
    return error;
  const found = await findCached(job).catch(() => undefined);
  if (!found || !existsSync(found.path)) return error;
  const cached = `The cache has a copy: HF_HUB_OFFLINE=1 uses it, or --model ${found.path}`;
  return new DiffusionError(error.code, error.message, {
    hint: error.hint ? `${error.hint} ${cached}` : cached,
    cause: error,
  });
}
