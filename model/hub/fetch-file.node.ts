/** One file of a repository, from the cache or from the hub into the cache. */
import { join } from "node:path";
import { DiffusionError } from "../../engine/errors.ts";
import { incompletePath, openPartial, orWriteFault, type PartialBlob } from "./blob.node.ts";
import { fileSize, type ModelCache, place } from "./cache.node.ts";
import type { HubConnection } from "./connection.ts";
import type { Asked } from "./faults.ts";
import type { RemoteFile } from "./listing.ts";
import { withLock } from "./lock.node.ts";
import { transfer } from "./transfer.ts";

export interface FetchOptions {
  /** Fetch even what is there. */
  readonly force: boolean;
  readonly onBytes: (size: number) => void;
  /** Another process fetches the same file. */
  readonly onWait: (owner: string) => void;
}

export interface FetchedFile {
  /** In the cache's snapshot of the commit. */
  readonly path: string;
  /** It was there, or another process brought it. */
  readonly cached: boolean;
}

/**
 * Brings `file` of the commit `asked.revision` into the cache. Throws NETWORK, HUB_404, WEIGHTS_HASH,
 * DISK_FULL, OUTPUT; what came stays for the next time.
 */
export async function fetchFile(
  file: RemoteFile,
  cache: ModelCache,
  hub: HubConnection,
  asked: Asked,
  { force, onBytes, onWait }: FetchOptions,
): Promise<FetchedFile> {
  const path = cache.file(asked.revision, file.path);
  if (!force && (await fileSize(path)) === file.size) return { path, cached: true };
  const blob = join(cache.blobs, file.hash);
  // Not huggingface_hub's own lock: that is a lock on a file which stays.
  const lock = join(cache.locks, `${file.hash}.fetch`);
  return orWriteFault(path, () =>
    withLock(
      lock,
      async () => {
        const cached = !force && (await fileSize(blob)) === file.size;
        if (!cached) await fetchBlob(file, cache.blobs, hub, asked, onBytes);
        await place(blob, path);
        return { path, cached };
      },
      { signal: hub.signal, onWait },
    ),
  );
}

async function fetchBlob(
  file: RemoteFile,
  blobs: string,
  hub: HubConnection,
  asked: Asked,
  onBytes: (size: number) => void,
): Promise<void> {
  const partial = await openPartial(blobs, file);
  let finished = false;
  try {
    onBytes(partial.size);
    await transfer(file, partial, hub, asked, onBytes);
    // Once more from the start: what an earlier try left may be what is wrong.
    if (partial.hash() !== file.hash) await again(file, partial, hub, asked, onBytes);
    await partial.finish();
    finished = true;
  } finally {
    if (!finished) await partial.close().catch(() => {});
  }
}

async function again(
  file: RemoteFile,
  partial: PartialBlob,
  hub: HubConnection,
  asked: Asked,
  onBytes: (size: number) => void,
): Promise<void> {
  hub.onRetry?.({ message: `${file.path} came damaged (its hash differs)`, waitMs: 0 });
  await partial.clear();
  await transfer(file, partial, hub, asked, onBytes);
  const got = partial.hash();
  if (got === file.hash) return;
  await partial.clear();
  const kind = file.hash.length === 64 ? "SHA-256" : "Git SHA-1";
  throw new DiffusionError(
    "WEIGHTS_HASH",
    `${file.path} came damaged twice: its ${kind} is ${got}, expected ${file.hash}`,
    { hint: "What came was dropped. A proxy or mirror may change files: try another --endpoint." },
  );
}

/** The bytes of `file` that still have to come. */
export async function missingBytes(
  file: RemoteFile,
  cache: ModelCache,
  commit: string,
  force: boolean,
): Promise<number> {
  if (force) return file.size;
  const places = [cache.file(commit, file.path), join(cache.blobs, file.hash)];
  for (const path of places) if ((await fileSize(path)) === file.size) return 0;
  const there = (await fileSize(incompletePath(cache.blobs, file))) ?? 0;
  return there > file.size ? file.size : file.size - there;
}
