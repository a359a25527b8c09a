/** One process at a time fetches a file; the others wait for it. */
import { randomUUID } from "node:crypto";
import { link, mkdir, open, readFile, rename, rm, stat, utimes } from "node:fs/promises";
import { hostname } from "node:os";
import { dirname } from "node:path";
import { sleep } from "./retry.ts";

/** A holder that lives renews its lock every half minute. */
const STALE_MS = 600_000;
const RENEW_MS = 30_000;

export interface LockOptions {
  readonly signal?: AbortSignal | undefined;
  /** Told once, if another process has the lock. */
  readonly onWait?: ((owner: string) => void) | undefined;
  /** Between two looks (default 500). */
  readonly pollMs?: number | undefined;
}

/**
 * Runs `work` while holding the lock file at `path`. A lock is stale if its process is gone, or has not
 * renewed it for 10 minutes. Rejects with the signal's reason while waiting.
 *
 * It saves traffic and does not guard correctness: files get their names only after their hash is checked.
 */
export async function withLock<T>(
  path: string,
  work: () => Promise<T>,
  { signal, onWait, pollMs = 500 }: LockOptions = {},
): Promise<T> {
  await mkdir(dirname(path), { recursive: true });
  const owner = `${hostname()} ${process.pid} ${randomUUID()}`;
  for (let told = false; !(await take(path, owner)); told = true) {
    if (!told) onWait?.((await ownerOf(path)) ?? "another process");
    await sleep(pollMs, signal);
  }
  const renewal = setInterval(() => void renew(path), RENEW_MS);
  renewal.unref();
  try {
    return await work();
  } finally {
    clearInterval(renewal);
    // After ten minutes of sleep another may have taken it.
    if ((await read(path)) === owner) await rm(path, { force: true });
  }
}

async function take(path: string, owner: string): Promise<boolean> {
  try {
    const file = await open(path, "wx");
    await file.writeFile(owner).finally(() => file.close());
    return true;
  } catch (error) {
    if ((error as NodeJS.ErrnoException).code !== "EEXIST") {
      // On a full disk the name can be made, and its content not.
      if ((await read(path)) === "") await rm(path, { force: true });
      throw error;
    }
  }
  if (await isStale(path)) await removeStale(path);
  return false;
}

async function isStale(path: string): Promise<boolean> {
  const found = await stat(path).catch(() => undefined);
  if (!found) return false;
  if (Date.now() - found.mtimeMs > STALE_MS) return true;
  const [host, pid] = (await read(path))?.split(" ") ?? [];
  return host === hostname() && pid !== undefined && !isAlive(Number(pid));
}

/** Two may find the same lock stale: what the slower one takes away may be the faster one's new lock. */
async function removeStale(path: string): Promise<void> {
  const aside = `${path}.${randomUUID()}`;
  try {
    await rename(path, aside);
    if (!(await isStale(aside))) await link(aside, path);
  } catch {
    // The other was faster.
  } finally {
    await rm(aside, { force: true });
  }
}

function isAlive(pid: number): boolean {
  try {
    return process.kill(pid, 0);
  } catch (error) {
    return (error as NodeJS.ErrnoException).code !== "ESRCH";
  }
}

async function renew(path: string): Promise<void> {
  const now = new Date();
  await utimes(path, now, now).catch(() => {});
}

const read = (path: string) => readFile(path, "utf8").catch(() => undefined);

async function ownerOf(path: string): Promise<string | undefined> {
  const [host, pid] = (await read(path))?.split(" ") ?? [];
  return pid === undefined ? undefined : `process ${pid} on ${host}`;
}
