/** What a repository holds, by the hub's API: the commit of a revision, and its files. */
import { DiffusionError } from "../../engine/errors.ts";
import { type HubConnection, open } from "./connection.ts";
import type { Asked } from "./faults.ts";
import { createRetries } from "./retry.ts";

export interface RemoteFile {
  /** Its path in the repository: "unet/config.json". */
  readonly path: string;
  readonly size: number;
  /** Its content's name: the SHA-256 of a large file (LFS), Git's SHA-1 of the blob of any other. */
  readonly hash: string;
  /** Where it is, if not where its path says; then it may be of no known hash (""). */
  readonly url?: string | undefined;
  /** Which version it is, as its server says, where no hash is known. */
  readonly etag?: string | undefined;
}

export interface Listing {
  /** 40 hexadecimal digits. */
  readonly commit: string;
  readonly files: readonly RemoteFile[];
}

/** A repository of a checkpoint has some dozens of files. */
const MAX_FILES = 100_000;
const MAX_JSON_BYTES = 64 * 2 ** 20;

/** Lists all files of a revision. Throws HUB_404, and NETWORK for an answer that is not the hub's API. */
export async function listFiles(hub: HubConnection, asked: Asked): Promise<Listing> {
  const api = `${hub.endpoint}/api/models/${asked.id}`;
  const revision = encodeURIComponent(asked.revision);
  const { value: info } = await getJson(`${api}/revision/${revision}`, hub, asked);
  const commit = fieldsOf(info).sha;
  if (!isHex(commit, 40)) throw notTheApi(hub.endpoint, "it does not say which commit it is");
  const files: RemoteFile[] = [];
  const seen = new Set<string>();
  let next: string | undefined = `${api}/tree/${commit}?recursive=true`;
  while (next !== undefined) {
    seen.add(next);
    const page: Page = await getJson(next, hub, asked);
    if (!Array.isArray(page.value)) throw notTheApi(hub.endpoint, "its list of files is none");
    files.push(...page.value.flatMap((entry) => remoteFile(entry, hub.endpoint)));
    next = page.next;
    if (files.length > MAX_FILES || (next !== undefined && seen.has(next)))
      throw notTheApi(hub.endpoint, "its list of files has no end");
  }
  return { commit, files };
}

function remoteFile(entry: unknown, endpoint: string): RemoteFile[] {
  const { type, path, size, oid, lfs } = fieldsOf(entry);
  if (type !== "file") return [];
  const large = fieldsOf(lfs).oid;
  const hash = lfs ? large : oid;
  if (typeof path !== "string" || !isSize(size) || !isHex(hash, lfs ? 64 : 40))
    throw notTheApi(endpoint, "an entry of its list of files is damaged");
  return [{ path, size, hash }];
}

const isHex = (value: unknown, digits: number): value is string =>
  typeof value === "string" && value.length === digits && /^[0-9a-f]+$/.test(value);

const isSize = (value: unknown): value is number =>
  Number.isSafeInteger(value) && Number(value) >= 0;

function fieldsOf(value: unknown): Readonly<Record<string, unknown>> {
  return typeof value === "object" && value !== null ? { ...value } : {};
}

interface Page {
  readonly value: unknown;
  /** The next page: `rel="next"` of the Link header. */
  readonly next: string | undefined;
}

async function getJson(url: string, hub: HubConnection, asked: Asked): Promise<Page> {
  const retries = createRetries({ ...hub, retries: Math.min(3, hub.retries ?? 3) });
  for (;;) {
    try {
      const answer = await open(url, { accept: "application/json" }, hub, asked);
      const bytes = await readAll(answer.body(), hub.endpoint);
      const next = nextPage(answer.headers.get("link"), answer.url);
      return { value: parse(bytes, hub.endpoint), next };
    } catch (error) {
      await retries.pause(error);
    }
  }
}

async function readAll(body: AsyncIterable<Uint8Array>, endpoint: string): Promise<Uint8Array> {
  const chunks: Uint8Array[] = [];
  let size = 0;
  for await (const chunk of body) {
    size += chunk.length;
    if (size > MAX_JSON_BYTES) throw notTheApi(endpoint, "its answer has no end");
    chunks.push(chunk);
  }
  const all = new Uint8Array(size);
  let at = 0;
  for (const chunk of chunks) {
    all.set(chunk, at);
    at += chunk.length;
  }
  return all;
}

function parse(bytes: Uint8Array, endpoint: string): unknown {
  const text = new TextDecoder().decode(bytes);
  try {
    return JSON.parse(text);
  } catch {
    throw notTheApi(
      endpoint,
      text.trimStart().startsWith("<") ? "it sends a web page" : "it is not JSON",
    );
  }
}

/** `<https://…>; rel="next"`, RFC 8288. */
export function nextPage(link: string | null, from: string): string | undefined {
  const target = /<([^>]*)>\s*;[^<]*\brel="?next\b/.exec(link ?? "")?.[1];
  if (target === undefined || !URL.canParse(target, from)) return undefined;
  return new URL(target, from).href;
}

function notTheApi(endpoint: string, what: string): DiffusionError {
  return new DiffusionError("NETWORK", `${endpoint} does not answer as a hub: ${what}`, {
    hint: "Check --endpoint or HF_ENDPOINT; a network with a login page answers for every server.",
  });
}
