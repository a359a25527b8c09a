/** A checkpoint from the hub into huggingface_hub's cache: what is there already is not fetched again. */
import { dirname } from "node:path";
import { DiffusionError } from "../../engine/errors.ts";
import { readJson } from "../../engine/platform/text-file.node.ts";
import { checkSpace, orWriteFault } from "./blob.node.ts";
import { type ModelCache, modelCache, writeRef } from "./cache.node.ts";
import { chooseFiles, isPickle, onlyPickles } from "./choose.ts";
import type { HubConnection } from "./connection.ts";
import type { HubEvent } from "./events.ts";
import type { Asked } from "./faults.ts";
import { fetchFile, missingBytes } from "./fetch-file.node.ts";
import { type Listing, listFiles, type RemoteFile } from "./listing.ts";
import { findCached, offlineFault, withCachedHint } from "./lookup.node.ts";
import { type HubModel, hubModel } from "./model-id.ts";
import { safeRepoPath, safeRevision } from "./repo-path.ts";
import { type HubOverrides, type HubSettings, hubSettings } from "./settings.node.ts";

export interface DownloadOptions extends HubOverrides {
  /** A branch, tag or commit (default: that of the link, else main). */
  readonly revision?: string | undefined;
  /** This file only, instead of all that a diffusers folder needs. */
  readonly file?: string | undefined;
  /** `fp16` takes `model.fp16.safetensors`. */
  readonly variant?: string | undefined;
  /** Fetch even what is there. */
  readonly force?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onEvent?: ((event: HubEvent) => void) | undefined;
  /** See HubConnection; tests are impatient. */
  readonly retries?: number | undefined;
  readonly baseDelayMs?: number | undefined;
  readonly stallMs?: number | undefined;
}

export interface Downloaded {
  readonly id: string;
  readonly revision: string;
  readonly commit: string;
  /** The folder of the checkpoint, or the one file. */
  readonly path: string;
  /** Paths in the repository. */
  readonly files: readonly string[];
  /** Of all files together. */
  readonly bytes: number;
  /** Of these, the bytes that were not there before and that no other process brought. */
  readonly fetchedBytes: number;
  readonly warnings: readonly string[];
}

/** What a download works with. */
export interface Job {
  readonly model: HubModel;
  readonly asked: Asked;
  readonly settings: HubSettings;
  readonly cache: ModelCache;
  readonly options: DownloadOptions;
}

/** Reads the request, without any request. Throws BAD_REQUEST and PATH. */
export function jobOf(nameOrUrl: string, options: DownloadOptions): Job {
  const model = hubModel(nameOrUrl);
  const settings = hubSettings(options, model.endpoint);
  const revision = safeRevision(options.revision ?? model.revision ?? "main");
  const file = options.file ?? model.file;
  if (file !== undefined) safeRepoPath(file, "--file");
  const asked = { id: model.id, revision, file };
  return { model, asked, settings, cache: modelCache(settings.cacheDir, model.id), options };
}

/**
 * Fetches the checkpoint `nameOrUrl` ("org/name", or a link to a model or a file of a hub). Offline, it
 * is looked up in the cache. Throws HUB_404, NETWORK, WEIGHTS_MISSING, WEIGHTS_FORMAT, WEIGHTS_SHARD,
 * WEIGHTS_HASH, DISK_FULL, OUTPUT, PATH, BAD_REQUEST, and the signal's reason.
 */
export async function downloadModel(
  nameOrUrl: string,
  options: DownloadOptions = {},
): Promise<Downloaded> {
  const job = jobOf(nameOrUrl, options);
  if (job.settings.offline) {
    const found = await findCached(job);
    if (found) return found;
    throw offlineFault(job);
  }
  try {
    return await fetchModel(job);
  } catch (error) {
    throw await withCachedHint(error, job);
  }
}

async function fetchModel(job: Job): Promise<Downloaded> {
  const { asked, cache, options } = job;
  const { id, revision } = asked;
  const emit = options.onEvent ?? (() => {});
  const hub = connectionOf(job);
  const listing = await listFiles(hub, { id, revision });
  const pinned = { id, revision: listing.commit };
  const { files, warnings } = await wantedFiles(job, hub, listing);
  for (const message of warnings) emit({ status: "warning", name: id, message });
  const fetchedBytes = await fetchAll(files, job, hub, pinned);
  await noteRevision(job, listing.commit, fetchedBytes > 0);
  const only = asked.file;
  const path = only ? cache.file(listing.commit, only) : cache.snapshot(listing.commit);
  emit({ status: "ready", name: id, path });
  return {
    ...{ id, revision, commit: listing.commit, path, files: files.map((file) => file.path) },
    ...{ bytes: sum(files.map(({ size }) => size)), fetchedBytes, warnings },
  };
}

function connectionOf({ asked, settings, options }: Job): HubConnection {
  const { signal, retries, baseDelayMs, stallMs, onEvent } = options;
  const { endpoint, token } = settings;
  return {
    ...{ endpoint, token, signal, retries, baseDelayMs, stallMs },
    onRetry: (event) => onEvent?.({ status: "retry", name: asked.id, ...event }),
  };
}

interface Wanted {
  readonly files: readonly RemoteFile[];
  readonly warnings: readonly string[];
}

/** Those of a diffusers folder, or the one that was named. */
async function wantedFiles(
  { asked, cache, options }: Job,
  hub: HubConnection,
  { commit, files }: Listing,
): Promise<Wanted> {
  const byPath = new Map(files.map((file) => [file.path, file]));
  if (asked.file !== undefined)
    return { files: [namedFile(asked.file, asked, byPath)], warnings: [] };
  const pinned = { id: asked.id, revision: commit };
  const once = { force: false, onBytes() {}, onWait() {} };
  const choice = await chooseFiles([...byPath.keys()], {
    name: asked.id,
    variant: options.variant,
    async readJson(path) {
      const local = await fetchFile(byPath.get(path)!, cache, hub, pinned, once);
      return readJson(local.path, "CONFIG");
    },
  });
  return { ...choice, files: choice.files.map((path) => byPath.get(path)!) };
}

function namedFile(name: string, { id, revision }: Asked, files: ReadonlyMap<string, RemoteFile>) {
  if (isPickle(name)) throw onlyPickles(id, name);
  const file = files.get(name);
  if (file) return file;
  const others = [...files.keys()].filter((path) => path.endsWith(".safetensors")).slice(0, 6);
  throw new DiffusionError("HUB_404", `${id} has no file ${name} at revision ${revision}`, {
    hint: `It has ${others.join(", ") || "no .safetensors files"}.`,
  });
}

/** Fetches one after the other and returns how many bytes came. */
async function fetchAll(
  files: readonly RemoteFile[],
  { asked, cache, options, settings }: Job,
  hub: HubConnection,
  pinned: Asked,
): Promise<number> {
  const name = asked.id;
  const emit = options.onEvent ?? (() => {});
  const force = options.force ?? false;
  const missing = new Map<RemoteFile, number>();
  for (const file of files)
    missing.set(file, await missingBytes(file, cache, pinned.revision, force));
  const toCome = sum([...missing.values()]);
  await checkSpace(settings.cacheDir, toCome);
  emit({ status: "initiate", name, files: files.length, total: toCome });
  const allTotal = sum(files.map(({ size }) => size));
  let before = 0;
  let fetched = 0;
  // First what is there, so that an estimate of the time need not count it.
  const order = files.toSorted((a, b) => Number(missing.get(a)! > 0) - Number(missing.get(b)! > 0));
  for (const file of order) {
    const { path, size: total } = file;
    const { cached } = await fetchFile(file, cache, hub, pinned, {
      force,
      onBytes: (loaded) =>
        emit({
          ...{ status: "progress", name, file: path, loaded, total, allTotal },
          ...{ progress: total > 0 ? (100 * loaded) / total : 100, allLoaded: before + loaded },
        }),
      onWait: (owner) => emit({ status: "wait", name, file: path, owner }),
    });
    before += total;
    if (!cached) fetched += missing.get(file)!;
    emit({ status: "done", name, file: path, cached });
  }
  return fetched;
}

/** Last, so that the revision's name leads to a whole snapshot; a cache that is read-only stays as it is. */
async function noteRevision({ asked, cache }: Job, commit: string, required: boolean) {
  try {
    await orWriteFault(dirname(cache.folder), () => writeRef(cache, asked.revision, commit));
  } catch (error) {
    if (required) throw error;
  }
}

function sum(numbers: readonly number[]): number {
  return numbers.reduce((total, each) => total + each, 0);
}
