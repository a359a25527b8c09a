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

/**
 * Fills `partial` up to the size of `file`; says nothing of what the bytes are. Throws NETWORK,
 * HUB_404, what `partial` throws, and the signal's reason; `partial` then keeps what came.
 */
export async function transfer(
  file: RemoteFile,
  partial: PartialFile,
  hub: HubConnection,
  asked: Asked,
  onBytes: (size: number) => void,
): Promise<void> {
  const url = resolveUrl(hub.endpoint, asked, file.path);
  const retries = createRetries(hub);
  if (partial.size > file.size) await partial.clear();
  let furthest = partial.size;
  let etag: string | undefined;
  while (partial.size < file.size) {
    try {
      const wanted: Wanted = { start: partial.size, size: file.size, etag };
      const answer = await open(url, rangeHeaders(wanted), hub, { ...asked, file: file.path });
      if (await prepare(answer, wanted, partial, file)) {
        etag = answer.headers.get("etag") ?? undefined;
        await receive(answer, partial, file, onBytes);
      }
    } catch (error) {
      // Only what was never reached before counts: a server that begins anew each time gets nowhere.
      if (partial.size > furthest) retries.reset();
      furthest = Math.max(furthest, partial.size);
      await retries.pause(error);
    }
  }
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
  file: RemoteFile,
  onBytes: (size: number) => void,
): Promise<void> {
  for await (const bytes of answer.body()) {
    if (partial.size === 0 && isWebPage(bytes))
      throw notTheFile(answer, file, "it sends a web page in place of the file", true);
    if (partial.size + bytes.length > file.size) {
      await partial.clear();
      throw notTheFile(answer, file, `it sends more than the file's ${file.size} bytes`, true);
    }
    await partial.append(bytes);
    onBytes(partial.size);
  }
  if (partial.size < file.size)
    throw notTheFile(answer, file, `it stopped after ${partial.size} of ${file.size} bytes`, false);
}

/** No file that is fetched begins like one. */
function isWebPage(bytes: Uint8Array): boolean {
  return recogniseFile(bytes)?.what.startsWith("an HTML page") ?? false;
}

/** The address without its query: those of a content network are signed. */
function notTheFile(answer: Answer, { path }: RemoteFile, why: string, lasting: boolean): Error {
  const message = `${path} from ${new URL(answer.url).host}: ${why}`;
  if (!lasting)
    return new TransientError(message, { hint: "Try again: what was received is kept." });
  return new DiffusionError("NETWORK", message, {
    hint: "A login page of the network, or a proxy, may stand between: check --endpoint or HF_ENDPOINT too.",
  });
}
