/** A file comes over a network that fails: it is asked for again, from where it broke off. */
import { DiffusionError } from "../../engine/errors.ts";
import { recogniseFile } from "../../engine/file-kind.ts";
import { type Answer, type HubConnection, open } from "./connection.ts";
import { type Asked, TransientError } from "./faults.ts";
import type { RemoteFile } from "./listing.ts";
import { planAnswer, rangeHeaders, type Wanted } from "./range.ts";
import { createRetries } from "./retry.ts";

/** Where the bytes go. What is in it outlives the process. */
export interface PartialFile {
  readonly size: number;
  append(bytes: Uint8Array): Promise<void>;
  clear(): Promise<void>;
}

/** A piece of a file: its bytes [begin, end). */
export interface Piece {
  readonly begin: number;
  readonly end: number;
  /** The ETag that the file had; a piece of another file is refused. */
  readonly etag?: string | undefined;
}

/**
 * Fills `partial` up to the size of `file`, or of the piece; says nothing of what the bytes are. Returns the
 * file's ETag, if the server gave one. Throws NETWORK, HUB_404, what `partial` throws, and the signal's
 * reason; `partial` then keeps what came.
 */
export async function transfer(
  file: RemoteFile,
  partial: PartialFile,
  hub: HubConnection,
  asked: Asked,
  onBytes: (size: number) => void,
  piece?: Piece,
): Promise<string | undefined> {
  const url = file.url ?? resolveUrl(hub.endpoint, asked, file.path);
  const { begin, end } = piece ?? { begin: 0, end: file.size };
  const size = end - begin;
  const retries = createRetries(hub);
  if (partial.size > size) await partial.clear();
  let furthest = partial.size;
  let etag = piece?.etag;
  while (partial.size < size) {
    try {
      const start = begin + partial.size;
      const wanted: Wanted = { start, size: file.size, etag, ...(piece && { end }) };
      const headers = rangeHeaders(wanted, hub.browser);
      const answer = await open(url, headers, hub, { ...asked, file: file.path });
      if (await prepare(answer, wanted, partial, file)) {
        etag = answer.headers.get("etag") ?? undefined;
        await receive(answer, partial, { path: file.path, begin, size }, onBytes);
      }
    } catch (error) {
      // Only what was never reached before counts: a server that begins anew each time gets nowhere.
      if (partial.size > furthest) retries.reset();
      furthest = Math.max(furthest, partial.size);
      await retries.pause(error);
    }
  }
  return etag;
}

/** `{endpoint}/{id}/resolve/{commit}/{path}`, which redirects to where large files are. */
export function resolveUrl(endpoint: string, { id, revision }: Asked, path: string): string {
  const encoded = path.split("/").map(encodeURIComponent).join("/");
  return `${endpoint}/${id}/resolve/${encodeURIComponent(revision)}/${encoded}`;
}

/** True if the body shall be read; what is there is dropped where the answer asks for it. */
async function prepare(
  answer: Answer,
  wanted: Wanted,
  partial: PartialFile,
  file: RemoteFile,
): Promise<boolean> {
  const plan = planAnswer(answer, wanted);
  if (plan.take === "whole") await partial.clear();
  if (plan.take === "rest" || plan.take === "whole") return true;
  await answer.cancel();
  if (plan.take === "fault") throw notTheFile(answer, file, plan.why, plan.lasting);
  await partial.clear();
  return false;
}

async function receive(
  answer: Answer,
  partial: PartialFile,
  { path, begin, size }: { path: string; begin: number; size: number },
  onBytes: (size: number) => void,
): Promise<void> {
  const file = { path };
  for await (const bytes of answer.body()) {
    if (begin + partial.size === 0 && isWebPage(bytes))
      throw notTheFile(answer, file, "it sends a web page in place of the file", true);
    if (partial.size + bytes.length > size) {
      await partial.clear();
      throw notTheFile(answer, file, `it sends more than the file's ${size} bytes`, true);
    }
    await partial.append(bytes);
    onBytes(partial.size);
  }
  if (partial.size < size)
    throw notTheFile(answer, file, `it stopped after ${partial.size} of ${size} bytes`, false);
}

/** No file that is fetched begins like one. */
function isWebPage(bytes: Uint8Array): boolean {
  return recogniseFile(bytes)?.what.startsWith("an HTML page") ?? false;
}

/** The address without its query: those of a content network are signed. */
function notTheFile(
  answer: Answer,
  { path }: { path: string },
  why: string,
  lasting: boolean,
): Error {
  const message = `${path} from ${new URL(answer.url).host}: ${why}`;
  if (!lasting)
    return new TransientError(message, { hint: "Try again: what was received is kept." });
  return new DiffusionError("NETWORK", message, {
    hint: "A login page of the network, or a proxy, may stand between: check --endpoint or HF_ENDPOINT too.",
  });
}
