/** A web server for a test: folders at paths, and whatever a test wants to answer itself. */
import { createServer, type IncomingMessage, type ServerResponse } from "node:http";
import type { AddressInfo } from "node:net";
import { serveFile } from "../../../tools/web/server/files.ts";

/** True if it answered. */
export type Handler = (
  request: IncomingMessage,
  response: ServerResponse,
) => boolean | Promise<boolean>;

export interface Site extends AsyncDisposable {
  /** "http://127.0.0.1:PORT", which browsers count as secure. */
  readonly url: string;
  /** Path, and range if one is asked for, of each request, in order: "/a.json bytes=0-0". */
  readonly seen: string[];
  /** Asked before all others. */
  use(handler: Handler): void;
}

/** Serves `folders` by path: `{ "/": "dist", "/models/shapes/": "model/shapes" }`; all origins may read. */
export async function startSite(folders: Readonly<Record<string, string>>): Promise<Site> {
  const handlers: Handler[] = [];
  const seen: string[] = [];
  // The longest path first.
  const places = Object.entries(folders).sort(([a], [b]) => b.length - a.length);
  const answer = async (request: IncomingMessage, response: ServerResponse) => {
    const url = request.url ?? "/";
    const { range } = request.headers;
    seen.push(range === undefined ? url : `${url} ${range}`);
    response.setHeader("access-control-allow-origin", "*");
    response.setHeader("access-control-expose-headers", "content-range, etag");
    for (const handler of handlers) if (await handler(request, response)) return;
    const [path, folder] = places.find(([path]) => url.startsWith(path)) ?? [];
    if (path !== undefined && folder !== undefined) {
      request.url = `/${url.slice(path.length)}`;
      if (await serveFile(folder, request, response)) return;
    }
    response.writeHead(404, { "content-type": "text/plain" }).end("not here");
  };
  const server = createServer((request, response) => void answer(request, response));
  await new Promise<void>((resolve) => server.listen(0, "127.0.0.1", resolve));
  return {
    url: `http://127.0.0.1:${(server.address() as AddressInfo).port}`,
    seen,
    use: (handler) => void handlers.unshift(handler),
    async [Symbol.asyncDispose]() {
      server.closeAllConnections();
      await new Promise((resolve) => server.close(resolve));
    },
  };
}

/** A page with nothing on it but this script. */
export function scriptPage(script: string): Handler {
  return (request, response) => {
    if (request.url?.split("?")[0] !== "/page.html") return false;
    response.writeHead(200, { "content-type": "text/html" });
    response.end(
      `<!doctype html><meta charset="utf-8"><title>test</title><script type="module" src="${script}"></script>`,
    );
    return true;
  };
}

/** Breaks the first answer to a request for all of `path` after so many bytes. */
export function cutOnce(path: string, bytes: number): Handler {
  let cut = false;
  return (request, response) => {
    if (cut || request.url !== path || request.headers.range !== undefined) return false;
    cut = true;
    const write = response.write.bind(response) as (chunk: Buffer) => boolean;
    let sent = 0;
    response.write = ((chunk: Buffer) => {
      sent += chunk.length;
      if (sent > bytes) setTimeout(() => response.destroy(), 50);
      return sent > bytes ? false : write(chunk);
    }) as typeof response.write;
    return false;
  };
}
