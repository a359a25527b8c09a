/** A model on a server, seen as a folder: streamed from there, or from a browser's storage that it is fetched into. */
import { DiffusionError } from "../../engine/errors.ts";
import type { ByteSource } from "../../engine/safetensors.ts";
import type { HubConnection } from "../hub/connection.ts";
import type { HubEvent } from "../hub/events.ts";
import type { Asked } from "../hub/faults.ts";
import type { RemoteFile } from "../hub/listing.ts";
import { speedometer } from "../hub/speed.ts";
import { transfer } from "../hub/transfer.ts";
import { memoryStore, type PartStore } from "../store/part-store.ts";
import {
  contentName,
  dropParts,
  isStored,
  openGrowing,
  storedBytes,
  storedSource,
} from "../store/stored-file.ts";
import { decodeText, MAX_TEXT_BYTES, type ModelFiles } from "./files.ts";
import { fetchPiece, rangeSource } from "./range-source.ts";

/** What is known of a model before any weight is fetched. It is plain data, which is kept for offline use. */
export interface RemoteModel {
  readonly path: string;
  readonly name: string;
  /** The repository and its commit; for a plain address, that. */
  readonly asked: Asked;
  /** Only those that are needed. */
  readonly files: readonly RemoteFile[];
}

/** Where files are kept, and what the platform has for it. */
export interface Storage {
  readonly store: PartStore;
  /** One of several pages fetches a file. */
  lock<T>(name: string, work: () => Promise<T>, onWait: () => void): Promise<T>;
  /** Throws DISK_FULL if so many bytes will not fit. */
  reserve(bytes: number): Promise<void>;
}

/** Each tensor by a request of its own, straight from the server: nothing is kept. */
export function streamedFiles(model: RemoteModel, hub: HubConnection): ModelFiles {
  return remoteFiles(model, {
    text: (file) => fetchWhole(file, hub, model.asked),
    source: (file, name) => rangeSource(file, name, hub, model.asked),
  });
}

/**
 * Fetches what is missing into the storage, checks it, and reads from there. Throws NETWORK, HUB_404,
 * WEIGHTS_HASH, DISK_FULL; what came stays for the next time.
 */
export async function storedFiles(
  model: RemoteModel,
  hub: HubConnection,
  storage: Storage,
  onEvent: (event: HubEvent) => void,
): Promise<ModelFiles> {
  await fetchAll(model, hub, storage, onEvent);
  const { store } = storage;
  const refetch = (file: RemoteFile) => (begin: number, end: number) =>
    fetchPiece(file, { begin, end, etag: file.etag }, hub, model.asked);
  return remoteFiles(model, {
    async text(file) {
      const source = storedSource(store, file, file.path, refetch(file));
      return source.read(0, file.size);
    },
    source: (file, name) => storedSource(store, file, name, refetch(file)),
  });
}

/** Whether every file of the model is in the store. */
export async function isWhole(store: PartStore, { files }: RemoteModel): Promise<boolean> {
  for (const file of files) if (!(await isStored(store, file))) return false;
  return true;
}

async function fetchAll(
  model: RemoteModel,
  hub: HubConnection,
  { store, lock, reserve }: Storage,
  onEvent: (event: HubEvent) => void,
): Promise<void> {
  const { name, files } = model;
  const there = new Map<RemoteFile, number>();
  for (const file of files) there.set(file, await storedBytes(store, file));
  const allTotal = files.reduce((sum, { size }) => sum + size, 0);
  const toCome = allTotal - [...there.values()].reduce((sum, each) => sum + each, 0);
  if (toCome > 0) await reserve(toCome);
  onEvent({ status: "initiate", name, files: files.length, total: toCome });
  const tell = progressOf(name, allTotal, onEvent);
  let before = 0;
  // First what is there, so that an estimate of the time need not count it.
  const missing = (file: RemoteFile) => Number(there.get(file)! < file.size);
  for (const file of files.toSorted((a, b) => missing(a) - missing(b))) {
    const cached = missing(file) === 0;
    const onBytes = (size: number) => tell(file, size, before);
    const bring = () => fetchInto(store, file, hub, model.asked, onBytes);
    const onWait = () =>
      onEvent({ status: "wait", name, file: file.path, owner: "another page of this site" });
    if (cached) onBytes(file.size);
    else await lock(contentName(file), bring, onWait);
    before += file.size;
    onEvent({ status: "done", name, file: file.path, cached });
  }
  onEvent({ status: "ready", name, path: model.path });
}

function progressOf(name: string, allTotal: number, onEvent: (event: HubEvent) => void) {
  const speed = speedometer();
  return ({ path, size: total }: RemoteFile, loaded: number, before: number) => {
    const event = {
      ...{ status: "progress" as const, name, file: path, loaded, total, allTotal },
      ...{ progress: total > 0 ? (100 * loaded) / total : 100, allLoaded: before + loaded },
    };
    const rate = speed(event);
    const etaMs = rate > 0 ? (1000 * (allTotal - event.allLoaded)) / rate : undefined;
    onEvent({ ...event, etaMs });
  };
}

/** Brings one file into the store, and has it right: twice damaged is WEIGHTS_HASH. */
async function fetchInto(
  store: PartStore,
  file: RemoteFile,
  hub: HubConnection,
  asked: Asked,
  onBytes: (size: number) => void,
): Promise<void> {
  // Another page may have brought it while we waited for the lock.
  if (await isStored(store, file)) return onBytes(file.size);
  const growing = await openGrowing(store, file);
  try {
    for (let attempt = 1; ; attempt++) {
      onBytes(growing.size);
      await transfer(file, growing, hub, asked, onBytes);
      const got = growing.hash();
      if (got === file.hash) break;
      await growing.clear();
      if (attempt > 1) throw damaged(file, got);
      hub.onRetry?.({ message: `${file.path} came damaged (its hash differs)`, waitMs: 0 });
    }
    await growing.finish();
  } catch (error) {
    await growing.close().catch(() => {});
    throw error;
  }
}

function damaged({ path, hash }: RemoteFile, got: string): DiffusionError {
  const kind = hash.length === 64 ? "SHA-256" : "Git SHA-1";
  const message = `${path} came damaged twice: its ${kind} is ${got}, expected ${hash}`;
  return new DiffusionError("WEIGHTS_HASH", message, {
    hint: "What came was dropped. A proxy or mirror may change files: try another endpoint.",
  });
}

/** A small file, checked. */
export async function fetchWhole(
  file: RemoteFile,
  hub: HubConnection,
  asked: Asked,
): Promise<Uint8Array> {
  if (file.size > MAX_TEXT_BYTES)
    throw new DiffusionError("CONFIG", `${file.path} has ${file.size} bytes: too many for a text`);
  const store = memoryStore();
  await fetchInto(store, file, hub, asked, () => {});
  const source = storedSource(store, file, file.path, () => Promise.reject(new Error("evicted")));
  return source.read(0, file.size);
}

/** Drops every file of the model from the store. */
export async function forget(store: PartStore, { files }: RemoteModel): Promise<void> {
  for (const file of files) await dropParts(store, file);
}

interface Readers {
  text(file: RemoteFile): Promise<Uint8Array>;
  source(file: RemoteFile, name: string): ByteSource;
}

function remoteFiles({ path, name, files }: RemoteModel, { text, source }: Readers): ModelFiles {
  const byPath = new Map(files.map((file) => [file.path, file]));
  const where = (file: string) => `${name}/${file}`;
  return {
    ...{ path, name, where },
    async list(folder) {
      const start = `${folder}/`;
      const inside = [...byPath.keys()].filter((each) => each.startsWith(start));
      return inside.map((each) => each.slice(start.length));
    },
    async readText(file, code) {
      const found = byPath.get(file);
      return found && decodeText(await text(found), where(file), code);
    },
    async open(file) {
      const found = byPath.get(file);
      if (found) return source(found, where(file));
      throw new DiffusionError("WEIGHTS_MISSING", `${where(file)} does not exist`, {
        hint: "the model on the server is incomplete: take another",
      });
    },
  };
}
