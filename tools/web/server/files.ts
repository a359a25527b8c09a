/** Files of a folder over HTTP, with ranges: what the page needs of a server, for development and tests. */
import { createReadStream } from "node:fs";
import { stat } from "node:fs/promises";
import type { IncomingMessage, ServerResponse } from "node:http";
import { extname, join, normalize, sep } from "node:path";

const TYPES: Readonly<Record<string, string>> = {
  ".html": "text/html; charset=utf-8",
  ".js": "text/javascript",
  ".css": "text/css",
  ".json": "application/json",
  ".txt": "text/plain; charset=utf-8",
  ".svg": "image/svg+xml",
  ".png": "image/png",
};

/** Answers a request for a file in `folder`; false if there is none, and nothing was answered. */
export async function serveFile(
  folder: string,
  request: IncomingMessage,
  response: ServerResponse,
): Promise<boolean> {
  const path = filePath(folder, request.url ?? "/");
  if (path === undefined) return false;
  const found = await stat(path).catch(() => undefined);
  if (!found?.isFile()) return false;
  const { size, mtimeMs } = found;
  const etag = `"${size.toString(16)}-${Math.trunc(mtimeMs).toString(16)}"`;
  const headers = {
    "content-type": TYPES[extname(path)] ?? "application/octet-stream",
    "accept-ranges": "bytes",
    "cache-control": "no-cache",
    etag,
  };
  const range = rangeOf(request, size, etag);
  if (range === "none") {
    response.writeHead(416, { ...headers, "content-range": `bytes */${size}` }).end();
    return true;
  }
  const { start, end } = range ?? { start: 0, end: size - 1 };
  response.writeHead(range ? 206 : 200, {
    ...headers,
    "content-length": end - start + 1,
    ...(range && { "content-range": `bytes ${start}-${end}/${size}` }),
  });
  if (request.method === "HEAD" || size === 0) response.end();
  else
    createReadStream(path, { start, end })
      .on("error", () => response.destroy())
      .pipe(response);
  return true;
}

/** Undefined for a path that leaves the folder, or is none. */
function filePath(folder: string, url: string): string | undefined {
  try {
    const path = decodeURIComponent(new URL(url, "http://host").pathname);
    const full = normalize(join(folder, path.endsWith("/") ? `${path}index.html` : path));
    return full.startsWith(folder + sep) && !full.includes("\0") ? full : undefined;
  } catch {
    return undefined;
  }
}

type Range = { readonly start: number; readonly end: number };

function rangeOf(
  { headers }: IncomingMessage,
  size: number,
  etag: string,
): Range | "none" | undefined {
  const [, first, last] = /^bytes=(\d+)-(\d*)$/.exec(headers.range ?? "") ?? [];
  const condition = headers["if-range"];
  if (first === undefined || (condition !== undefined && condition !== etag)) return undefined;
  const start = Number(first);
  const end = Math.min(size - 1, last ? Number(last) : size - 1);
  return start <= end ? { start, end } : "none";
}
