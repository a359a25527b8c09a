/**
 * huggingface_hub's cache: `models--org--name/` with `blobs/` (files by their hash), `snapshots/`
 * (the same by commit and path, as links) and `refs/` (the commit of a branch or tag).
 */
import { randomUUID } from "node:crypto";
import {
  copyFile,
  link,
  mkdir,
  readdir,
  readFile,
  readlink,
  rename,
  rm,
  stat,
  symlink,
  writeFile,
} from "node:fs/promises";
import { dirname, join, relative, resolve, sep } from "node:path";
import { safeRepoPath, safeRevision } from "./repo-path.ts";

export interface ModelCache {
  readonly folder: string;
  readonly blobs: string;
  /** Where locks of this model are: beside the models, for a model's folder may be deleted. */
  readonly locks: string;
  /** The folder of a commit. */
  snapshot(commit: string): string;
  /** A file of a commit. Throws PATH for a name that leaves the folder. */
  file(commit: string, path: string): string;
  /** The commit of a revision, as far as it was ever fetched. */
  commitOf(revision: string): Promise<string | undefined>;
}

export function modelCache(cacheDir: string, id: string): ModelCache {
  const name = ["models", ...id.split("/")].join("--");
  const folder = join(cacheDir, name);
  const snapshot = (commit: string) => join(folder, "snapshots", safeRevision(commit));
  return {
    folder,
    blobs: join(folder, "blobs"),
    locks: join(cacheDir, ".locks", name),
    snapshot,
    file: (commit, path) => join(snapshot(commit), ...safeRepoPath(path, id).split("/")),
    async commitOf(revision) {
      if (/^[0-9a-f]{40}$/.test(revision)) return revision;
      const text = await readFile(refPath(folder, revision), "utf8").catch(() => "");
      return /^[0-9a-f]{40}$/.test(text.trim()) ? text.trim() : undefined;
    },
  };
}

const refPath = (folder: string, revision: string) =>
  join(folder, "refs", ...safeRevision(revision).split("/"));

/** Notes which commit a branch or tag was; a commit by itself needs no note. */
export async function writeRef(cache: ModelCache, revision: string, commit: string): Promise<void> {
  if (revision === commit || (await cache.commitOf(revision)) === commit) return;
  const path = refPath(cache.folder, revision);
  const part = join(dirname(path), `.${randomUUID()}.tmp`);
  await mkdir(dirname(path), { recursive: true });
  try {
    await writeFile(part, commit);
    await rename(part, path);
  } finally {
    await rm(part, { force: true });
  }
}

/** The bytes of the file at `path`, or undefined if there is none (or a link that leads nowhere). */
export async function fileSize(path: string): Promise<number | undefined> {
  const found = await stat(path).catch(() => undefined);
  return found?.isFile() ? found.size : undefined;
}

/** One way to give `blob` its name in a snapshot. */
export type Placing = (blob: string, path: string) => Promise<void>;

/** Windows allows links to administrators and developers only, some file systems to nobody. */
const PLACINGS: readonly Placing[] = [
  (blob, path) => symlink(relative(dirname(path), blob), path),
  link,
  copyFile,
];

/** Makes `path` show `blob`: by the first way that works. It appears whole or not at all. */
export async function place(
  blob: string,
  path: string,
  placings: readonly Placing[] = PLACINGS,
): Promise<void> {
  if (await leadsTo(path, blob)) return;
  await mkdir(dirname(path), { recursive: true });
  const part = join(dirname(path), `.${randomUUID()}.tmp`);
  let failure: unknown;
  for (const placing of placings) {
    try {
      await placing(blob, part);
      // A file system may take a link and not follow it.
      await stat(part);
      return await rename(part, path);
    } catch (error) {
      failure = error;
      await rm(part, { force: true });
    }
  }
  throw failure;
}

async function leadsTo(path: string, blob: string): Promise<boolean> {
  const target = await readlink(path).catch(() => undefined);
  return target !== undefined && resolve(dirname(path), target) === blob;
}

/** The files that a snapshot holds, as paths of the repository. */
export async function cachedFiles(snapshot: string): Promise<string[]> {
  const names = await readdir(snapshot, { recursive: true }).catch(() => []);
  const paths: string[] = [];
  for (const name of names)
    if ((await fileSize(join(snapshot, name))) !== undefined) paths.push(name.split(sep).join("/"));
  return paths;
}
