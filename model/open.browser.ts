/** Whatever a page names: a model on the hub or on a server, fetched into the browser's storage, or chosen files. */
import { DiffusionError } from "../engine/errors.ts";
import type { ModelFiles } from "./files/files.ts";
import { askHub } from "./files/hub-model.ts";
import { type ModelSource, type OpenedSource, openChosen } from "./files/model-source.ts";
import { isWhole, type RemoteModel, storedFiles, streamedFiles } from "./files/remote.ts";
import { askServer } from "./files/url-model.ts";
import type { HubConnection } from "./hub/connection.ts";
import { hubModel, isModelId } from "./hub/model-id.ts";
import { safeRevision } from "./hub/repo-path.ts";
import type { ModelFolder } from "./model-folder.ts";
import type { OpenOptions } from "./open-options.ts";
import { checkedPrediction, openSource } from "./open-source.ts";
import { openStore, reserve, withWebLock } from "./store/open-store.browser.ts";
import type { PartStore } from "./store/part-store.ts";

export interface BrowserOptions extends OpenOptions {
  /** Turns a fall-back to reading without storage into an error. */
  readonly strict?: boolean | undefined;
  readonly signal?: AbortSignal | undefined;
}

const HUB = "https://huggingface.co";

/**
 * Opens a model: its files are fetched where they are not in the browser's storage yet, no weight is on
 * the GPU. What is stored whole of the hub is taken without asking the hub. Throws HUB_404, NETWORK,
 * WEIGHTS_…, CONFIG, TOKENIZER, SCHEDULER, PATH, BAD_REQUEST; with `strict`, DISK_FULL.
 */
export async function openModel(
  source: ModelSource,
  options: BrowserOptions = {},
): Promise<ModelFolder> {
  checkedPrediction(options);
  const config = options.config === undefined ? undefined : await open(options.config, options);
  const folder = config && "files" in config ? config.files : undefined;
  if (config && !folder) throw new DiffusionError("CONFIG", "`config` names no folder");
  const single = async () => (await import("./single-file.ts")).openSingleFile;
  return openSource(await open(source, options), options, folder, single);
}

async function open(source: ModelSource, options: BrowserOptions): Promise<OpenedSource> {
  const chosen = await openChosen(source);
  if (chosen) return chosen;
  const { single, files } = await openRemote(String(source), options);
  return single === undefined ? { files } : { single: await files.open(single) };
}

/** What is asked for, and where. */
interface Wanted {
  /** Names it in the storage. */
  readonly key: string;
  readonly ask: (hub: HubConnection) => Promise<RemoteModel>;
  /** A commit never changes; what lies at an address may. */
  readonly lasting: boolean;
  readonly hub: HubConnection;
  /** One file, not a folder. */
  readonly isFile: boolean;
}

async function openRemote(
  name: string,
  options: BrowserOptions,
): Promise<{ files: ModelFiles; single: string | undefined }> {
  const wanted = wantedOf(name, options);
  const store = options.cache === false ? undefined : await openStore();
  const { model, files } = store
    ? await fromStore(wanted, store, options)
    : await streamed(await wanted.ask(wanted.hub), wanted, options);
  return { files, single: wanted.isFile ? model.files[0]!.path : undefined };
}

/** "org/name" and links to a hub's models are the hub's; any other address is that of a folder or file. */
function wantedOf(name: string, options: BrowserOptions): Wanted {
  const { variant, onEvent = () => {} } = options;
  const hub = (endpoint: string): HubConnection => ({
    ...{ endpoint, token: options.token, signal: options.signal, browser: true },
    retries: navigator.onLine === false ? 0 : options.retries,
    onRetry: (event) => onEvent({ status: "retry", name, ...event }),
  });
  if (!isOfHub(name)) {
    const url = addressOf(name);
    const connection = hub(url.origin);
    return {
      key: JSON.stringify([url.href, variant]),
      ask: (by) => askServer(url, variant, by),
      ...{ lasting: false, hub: connection, isFile: !url.pathname.endsWith("/") },
    };
  }
  const model = hubModel(name);
  const endpoint = (model.endpoint ?? options.endpoint ?? HUB).replace(/\/+$/, "");
  const revision = safeRevision(options.revision ?? model.revision ?? "main");
  const asked = { id: model.id, revision, file: model.file };
  const connection = hub(endpoint);
  return {
    // Mirrors have the same files, which are named by their hashes.
    key: JSON.stringify([asked.id, revision, asked.file, variant]),
    ask: (by) => askHub(asked, variant, by, onEvent),
    ...{ lasting: true, hub: connection, isFile: asked.file !== undefined },
  };
}

function isOfHub(name: string): boolean {
  if (isModelId(name)) return name.includes("/");
  if (!/^https?:\/\//i.test(name) || !URL.canParse(name)) return false;
  const { origin, pathname } = new URL(name);
  const [, , view] = pathname.split("/").filter(Boolean);
  return origin === HUB || /^(?:tree|blob|resolve)$/.test(view ?? "");
}

function addressOf(name: string): URL {
  const base = globalThis.location?.href;
  if (name.trim() !== "" && URL.canParse(name, base)) {
    const url = new URL(name, base);
    url.hash = "";
    if (!/\.safetensors$/i.test(url.pathname) && !url.pathname.endsWith("/")) url.pathname += "/";
    if (/^https?:$/.test(url.protocol)) return url;
  }
  throw new DiffusionError("BAD_REQUEST", `${JSON.stringify(name.slice(0, 100))} names no model`, {
    hint: "Name one on the hub (org/name), or the address of a folder or a .safetensors file.",
  });
}

type Opened = { model: RemoteModel; files: ModelFiles };

async function fromStore(
  wanted: Wanted,
  store: PartStore,
  options: BrowserOptions,
): Promise<Opened> {
  const { hub, lasting, key } = wanted;
  const { signal, onEvent = () => {} } = options;
  const storage = {
    ...{ store, reserve },
    lock: <T>(name: string, work: () => Promise<T>, onWait: () => void) =>
      withWebLock(name, work, { signal, onWait }),
  };
  const noted = await readNote(store, key);
  const whole = noted && (await isWhole(store, noted)) ? noted : undefined;
  const model = lasting && whole ? whole : await askOr(whole, wanted, options);
  try {
    const files = await storedFiles(model, hub, storage, onEvent);
    await writeNote(store, key, model);
    return { model, files };
  } catch (error) {
    const full = error instanceof DiffusionError && error.code === "DISK_FULL";
    if (!full || options.strict) throw error;
    return streamed(model, wanted, options, error.message);
  }
}

/** What the server has now; where it cannot be asked, what was stored of it. */
async function askOr(
  whole: RemoteModel | undefined,
  { ask, hub }: Wanted,
  { onEvent = () => {} }: BrowserOptions,
): Promise<RemoteModel> {
  try {
    // With a copy at hand there is no need for patience.
    return await ask(whole ? { ...hub, retries: Math.min(1, hub.retries ?? 1) } : hub);
  } catch (error) {
    if (!whole || !(error instanceof DiffusionError) || error.code !== "NETWORK") throw error;
    const message = `${error.message}: the copy in the browser's storage is taken`;
    onEvent({ status: "warning", name: whole.name, message });
    return whole;
  }
}

async function streamed(
  model: RemoteModel,
  { hub }: Wanted,
  { onEvent = () => {}, cache }: BrowserOptions,
  why = "this page may not store anything",
): Promise<Opened> {
  if (cache !== false) {
    const message = `${why}: the weights are read from the server each time`;
    onEvent({ status: "warning", name: model.name, message });
  }
  return { model, files: streamedFiles(model, hub) };
}

const noteName = (key: string) => `model.${encodeURIComponent(key)}`.slice(0, 200);

async function readNote(store: PartStore, key: string): Promise<RemoteModel | undefined> {
  const text = await (await store.get(noteName(key)))?.text();
  try {
    const note = text === undefined ? undefined : JSON.parse(text);
    return note?.key === key ? note.model : undefined;
  } catch {
    return undefined;
  }
}

async function writeNote(store: PartStore, key: string, model: RemoteModel): Promise<void> {
  await store.put(noteName(key), new TextEncoder().encode(JSON.stringify({ key, model })));
}
