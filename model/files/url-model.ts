/** A model on any web server, as a folder or one file: no listing, so its files are asked for one by one. */
import { DiffusionError } from "../../engine/errors.ts";
import { chooseFiles, possibleFiles } from "../hub/choose.ts";
import { type Answer, type HubConnection, open } from "../hub/connection.ts";
import type { RemoteFile } from "../hub/listing.ts";
import { createRetries } from "../hub/retry.ts";
import { safeFileName } from "../safe-name.ts";
import { decodeText, MAX_TEXT_BYTES, parseJson } from "./files.ts";
import { fetchWhole, type RemoteModel } from "./remote.ts";

/** Requests under way at a time. */
const AT_ONCE = 6;

/**
 * The folder at `url` (with a slash at the end), or the one file. Throws WEIGHTS_MISSING, WEIGHTS_SHARD,
 * NETWORK.
 */
export async function askServer(
  url: URL,
  variant: string | undefined,
  hub: HubConnection,
): Promise<RemoteModel> {
  const path = `${url.origin}${url.pathname}`;
  const asked = { id: path, revision: "" };
  const name = url.pathname.split("/").findLast((part) => part !== "") ?? url.host;
  const model = { path, name: decodeURIComponent(name), asked };
  if (!url.pathname.endsWith("/")) {
    const file = await probe(url, name, hub);
    if (file) return { ...model, files: [file] };
    throw missing(path, "is not there", "check the address");
  }
  const index = await probe(new URL("model_index.json", url), "model_index.json", hub);
  if (!index)
    throw missing(
      path,
      "is no model folder: there is no model_index.json in it",
      "name a diffusers folder, or a .safetensors file",
    );
  const found = new Map([[index.path, index]]);
  const look = async (names: readonly string[]) => {
    for (const file of await probeAll(names, url, hub)) found.set(file.path, file);
  };
  const readJson = async (file: string) => {
    const bytes = await fetchWhole(found.get(file)!, hub, asked);
    return parseJson(decodeText(bytes, file, "CONFIG"), file, "CONFIG");
  };
  const fields = Object(await readJson("model_index.json"));
  await look(possibleFiles(variant).filter((file) => Array.isArray(fields[file.split("/")[0]!])));
  for (const file of [...found.keys()].filter((each) => /index\.(?:\w+\.)?json$/.test(each))) {
    if (file !== "model_index.json") await look(shardsOf(await readJson(file), file));
  }
  const choice = await chooseFiles([...found.keys()], { name: path, variant, readJson });
  return { ...model, files: choice.files.map((file) => found.get(file)!) };
}

function missing(path: string, what: string, hint: string): DiffusionError {
  return new DiffusionError("WEIGHTS_MISSING", `${path} ${what}`, { hint });
}

function shardsOf(index: unknown, file: string): string[] {
  const shards = new Set(Object.values(Object(Object(index).weight_map)));
  const folder = file.slice(0, file.indexOf("/"));
  return [...shards].map((shard) => `${folder}/${safeFileName(shard, file)}`);
}

async function probeAll(
  names: readonly string[],
  root: URL,
  hub: HubConnection,
): Promise<RemoteFile[]> {
  const files: (RemoteFile | undefined)[] = [];
  for (let i = 0; i < names.length; i += AT_ONCE) {
    const some = names.slice(i, i + AT_ONCE);
    files.push(...(await Promise.all(some.map((name) => probe(new URL(name, root), name, hub)))));
  }
  return files.filter((file) => file !== undefined);
}

/** What the server says of a file; undefined where it has none, or answers with a page in its place. */
async function probe(url: URL, path: string, hub: HubConnection): Promise<RemoteFile | undefined> {
  const retries = createRetries(hub);
  for (;;) {
    try {
      const asked = { id: url.href, revision: "", file: path };
      const answer = await open(url.href, { range: "bytes=0-0" }, hub, asked);
      if (/^text\/html\b/i.test(answer.headers.get("content-type") ?? "")) {
        await answer.cancel();
        return undefined;
      }
      const size = sizeOf(answer) ?? (await countBytes(url, hub));
      await answer.cancel();
      const { headers } = answer;
      const etag = headers.get("etag") ?? headers.get("last-modified") ?? undefined;
      return { path, size, hash: "", url: url.href, etag };
    } catch (error) {
      if (error instanceof DiffusionError && error.code === "HUB_404") return undefined;
      await retries.pause(error);
    }
  }
}

function sizeOf({ status, headers }: Answer): number | undefined {
  const total = /\/(\d+)$/.exec(headers.get("content-range") ?? "")?.[1];
  if (status === 206) return total === undefined ? undefined : Number(total);
  const length = headers.get("content-length");
  return length === null || headers.has("content-encoding") ? undefined : Number(length);
}

/** A server that hides the size from pages: by the length of a whole answer, or by reading a small file. */
async function countBytes(url: URL, hub: HubConnection): Promise<number> {
  const answer = await open(url.href, {}, hub, { id: url.href, revision: "" });
  const known = sizeOf(answer);
  if (known !== undefined) {
    await answer.cancel();
    return known;
  }
  let size = 0;
  for await (const bytes of answer.body()) {
    size += bytes.length;
    if (size > MAX_TEXT_BYTES)
      throw new DiffusionError("NETWORK", `${url.host} does not say how large ${url.pathname} is`, {
        hint: "The server must send Content-Length, and let pages see it.",
      });
  }
  return size;
}
