/** The browser's storage: the origin private file system, else the Cache API, else none. */
import { DiffusionError } from "../../engine/errors.ts";
import type { PartStore } from "./part-store.ts";

const FOLDER = "wgsl-diffusion";

/** Undefined where a page may keep nothing: private windows of some browsers, pages that are not secure. */
export async function openStore(): Promise<PartStore | undefined> {
  for (const open of [openOpfs, openCache]) {
    try {
      return await open();
    } catch {
      // The next one.
    }
  }
  return undefined;
}

async function openOpfs(): Promise<PartStore> {
  const root = await navigator.storage.getDirectory();
  const folder = await root.getDirectoryHandle(FOLDER, { create: true });
  // Safari before 26 has files there that only a worker can write.
  if (!("createWritable" in FileSystemFileHandle.prototype)) throw new Error("no createWritable");
  return {
    kind: "opfs",
    async get(name) {
      const handle = await folder.getFileHandle(name).catch(absent);
      return handle?.getFile();
    },
    put: (name, bytes) =>
      orFull(async () => {
        const handle = await folder.getFileHandle(name, { create: true });
        const writable = await handle.createWritable();
        try {
          await writable.write(bytes);
        } catch (error) {
          await writable.abort().catch(() => {});
          await folder.removeEntry(name).catch(() => {});
          throw error;
        }
        // The file changes here, at once.
        await writable.close();
      }),
    async delete(name) {
      await folder.removeEntry(name).catch(absent);
    },
    async names() {
      const names: string[] = [];
      const keys = (folder as unknown as { keys(): AsyncIterable<string> }).keys();
      for await (const name of keys) names.push(name);
      return names;
    },
  };
}

async function openCache(): Promise<PartStore> {
  const cache = await caches.open(FOLDER);
  // Nothing is ever fetched from there: the Cache API wants addresses as names.
  const address = (name: string) => `https://${FOLDER}.invalid/${encodeURIComponent(name)}`;
  return {
    kind: "cache",
    get: async (name) => (await cache.match(address(name)))?.blob(),
    put: (name, bytes) => orFull(() => cache.put(address(name), new Response(bytes))),
    async delete(name) {
      await cache.delete(address(name));
    },
    async names() {
      const requests = await cache.keys();
      return requests.map(({ url }) => decodeURIComponent(new URL(url).pathname.slice(1)));
    },
  };
}

function absent(error: unknown): undefined {
  if ((error as Error).name === "NotFoundError") return undefined;
  throw error;
}

async function orFull<T>(work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } catch (cause) {
    if ((cause as Error).name !== "QuotaExceededError") throw cause;
    throw new DiffusionError("DISK_FULL", "the browser gives this page no more storage", {
      hint: "Free some disk space or clear other sites' data; what came is kept and is not fetched again.",
      cause,
    });
  }
}

/**
 * Asks the browser to keep what is stored, and throws DISK_FULL if `need` more bytes do not fit in what it
 * would give.
 */
export async function reserve(need: number): Promise<void> {
  // A page that is refused may still store; it may be evicted then.
  await navigator.storage.persist?.().catch(() => false);
  const { quota, usage } = await navigator.storage.estimate();
  if (quota === undefined || need <= quota - (usage ?? 0)) return;
  throw new DiffusionError(
    "DISK_FULL",
    `the model needs ${gigabytes(need)} of the browser's storage, this page may have ${gigabytes(quota - (usage ?? 0))}`,
    { hint: "Free some disk space, leave private mode, or take a smaller variant (fp16)." },
  );
}

const gigabytes = (bytes: number) => `${(bytes / 1e9).toFixed(2)} GB`;

/** One tab at a time runs `work`; a tab that is closed or crashes lets go of the lock. */
export async function withWebLock<T>(
  name: string,
  work: () => Promise<T>,
  { signal, onWait }: { signal?: AbortSignal | undefined; onWait: () => void },
): Promise<T> {
  // Not on pages that are not secure, and those keep nothing anyway.
  const { locks } = navigator as { locks?: LockManager };
  if (!locks) return work();
  const key = `${FOLDER} ${name}`;
  const taken: { result: T } | undefined = await locks.request(
    key,
    { ifAvailable: true },
    async (lock) => (lock ? { result: await work() } : undefined),
  );
  if (taken) return taken.result;
  onWait();
  return await locks.request(key, signal ? { signal } : {}, work);
}
