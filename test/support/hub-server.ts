/** A hub on this machine, and the ways in which it can misbehave. */
import { createHash } from "node:crypto";
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";

export type Handler = (request: IncomingMessage, response: ServerResponse) => void;

export interface HubServer extends AsyncDisposable {
  /** "http://127.0.0.1:PORT". */
  readonly url: string;
  readonly files: Map<string, Buffer>;
  /** Every request, as "METHOD /path" and its headers. */
  readonly seen: { readonly path: string; readonly headers: IncomingMessage["headers"] }[];
  /** The next requests whose path ends like this are answered so; a handler is used once. */
  next(pathEnd: string, ...handlers: Handler[]): void;
  /** All of them. */
  always(pathEnd: string, handler: Handler): void;
}

export const COMMIT = "0123456789abcdef0123456789abcdef01234567";
export const ID = "some-org/tiny-sd";

/** Serves `files` as the repository `ID`: listing (two entries a page), and each file with ranges. */
export async function startHub(files: Record<string, string | Buffer>): Promise<HubServer> {
  const content = new Map(Object.entries(files).map(([path, data]) => [path, Buffer.from(data)]));
  const once = new Map<string, Handler[]>();
  const rules = new Map<string, Handler>();
  const seen: HubServer["seen"] = [];
  const server = createServer((request, response) => {
    const path = decodeURIComponent(new URL(request.url ?? "/", "http://x").pathname);
    seen.push({ path: request.url ?? "", headers: request.headers });
    const end = [...once.keys()].find((each) => path.endsWith(each) && once.get(each)!.length > 0);
    const rule = [...rules.keys()].find((each) => path.endsWith(each));
    const handler = end ? once.get(end)!.shift()! : rule ? rules.get(rule)! : normal(content);
    handler(request, response);
  });
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    files: content,
    seen,
    next: (end, ...handlers) => void once.set(end, [...(once.get(end) ?? []), ...handlers]),
    always: (end, handler) => void rules.set(end, handler),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

export const sha256 = (data: Buffer) => createHash("sha256").update(data).digest("hex");

export const gitHash = (data: Buffer) =>
  createHash("sha1").update(`blob ${data.length}\0`).update(data).digest("hex");

export const hashOf = (path: string, data: Buffer) =>
  path.endsWith(".safetensors") ? sha256(data) : gitHash(data);

/** What the hub does when all is well: large files are redirected to another path. */
function normal(files: ReadonlyMap<string, Buffer>): Handler {
  return (request, response) => {
    const url = new URL(request.url ?? "/", `http://${request.headers.host}`);
    const path = decodeURIComponent(url.pathname);
    if (path.startsWith(`/api/models/${ID}/revision/`)) return json(response, { sha: COMMIT });
    if (path === `/api/models/${ID}/tree/${COMMIT}`) return tree(files, url, response);
    const [, file] = path.split(`/${ID}/resolve/${COMMIT}/`);
    if (file?.endsWith(".safetensors") && files.has(file))
      return redirect(`/cdn/${file}?signature=secret`)(request, response);
    const data = files.get(file ?? path.replace("/cdn/", ""));
    if (data) return sendFile(data)(request, response);
    refuse(404, "RepoNotFound")(request, response);
  };
}

function tree(files: ReadonlyMap<string, Buffer>, url: URL, response: ServerResponse): void {
  const entries = [...files].map(([path, data]) => entryOf(path, data));
  const start = Number(url.searchParams.get("cursor") ?? 0);
  const end = start + 4;
  const link = `<${url.origin}${url.pathname}?recursive=true&cursor=${end}>; rel="next"`;
  const page = [{ type: "directory", path: "unet", oid: "0" }, ...entries.slice(start, end)];
  json(response, page, end < entries.length ? { link } : {});
}

export function entryOf(path: string, data: Buffer): Record<string, unknown> {
  const large = { oid: sha256(data), size: data.length, pointerSize: 134 };
  const entry = { type: "file", path, size: data.length, oid: gitHash(data) };
  return path.endsWith(".safetensors") ? { ...entry, oid: "1".repeat(40), lfs: large } : entry;
}

export function json(
  response: ServerResponse,
  value: unknown,
  headers: Record<string, string> = {},
): void {
  response.writeHead(200, { "content-type": "application/json", ...headers });
  response.end(JSON.stringify(value));
}

/** A whole file, or the part that was asked for; `etag` as given, or that of the content. */
export function sendFile(data: Buffer, etag = `"${sha256(data)}"`): Handler {
  return (request, response) => {
    const { start, end } = rangeOf(request, data);
    const stale = request.headers["if-range"] !== undefined && request.headers["if-range"] !== etag;
    if (Number.isNaN(start) || stale) {
      response.writeHead(200, { "content-length": data.length, etag });
      response.end(data);
    } else if (start >= data.length) {
      response.writeHead(416, { "content-range": `bytes */${data.length}` }).end();
    } else {
      const range = `bytes ${start}-${end - 1}/${data.length}`;
      response.writeHead(206, { "content-length": end - start, "content-range": range, etag });
      response.end(data.subarray(start, end));
    }
  };
}

/** The bytes [start, end) that are asked for; `start` is NaN where all are. */
function rangeOf(request: IncomingMessage, { length }: Buffer): { start: number; end: number } {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(request.headers.range ?? "") ?? [];
  return { start: Number(first), end: last ? Math.min(length, Number(last) + 1) : length };
}

/** Sends as `sendFile` would up to byte `end` of the file, then breaks the connection. */
export function breakAt(data: Buffer, end: number, etag?: string): Handler {
  return (request, response) => {
    const asked = rangeOf(request, data);
    const start = asked.start || 0;
    const range = `bytes ${start}-${asked.end - 1}/${data.length}`;
    const part = request.headers.range !== undefined;
    response.writeHead(part ? 206 : 200, {
      ...{ "content-length": asked.end - start, etag: etag ?? `"${sha256(data)}"` },
      ...(part ? { "content-range": range } : {}),
    });
    response.write(data.subarray(start, end), () => setTimeout(() => response.destroy(), 5));
  };
}

export function redirect(location: string): Handler {
  return (_, response) => void response.writeHead(302, { location }).end();
}

export function refuse(status: number, reason = "", headers: Record<string, string> = {}): Handler {
  return (_, response) => {
    const code = reason ? { "x-error-code": reason } : {};
    response.writeHead(status, { ...code, ...headers }).end("no");
  };
}

/** Status and headers as given, then the body. */
export function send(
  status: number,
  headers: Record<string, string>,
  body: string | Buffer,
): Handler {
  return (_, response) => void response.writeHead(status, headers).end(body);
}
