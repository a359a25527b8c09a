/** Bundles for pages, in memory. */
import { join } from "node:path";
import { build, type Plugin } from "esbuild";
import type { Handler } from "./site.ts";

export const root = join(import.meta.dirname, "../../..");

/** What tests ask of Node, as a page has it. */
const STAND_INS: Readonly<Record<string, string>> = {
  "node:assert/strict": "assert.ts",
  "../support/devices.ts": "devices.ts",
};

const standIns: Plugin = {
  name: "stand-ins",
  setup({ onResolve }) {
    onResolve({ filter: /^node:assert\/strict$|^\.\.\/support\/devices\.ts$/ }, ({ path }) => ({
      path: join(root, "test/browser/page", STAND_INS[path]!),
    }));
  },
};

/** The modules at `entries` (by name, relative to the root), as a handler that serves them and their chunks. */
export async function bundle(entries: Readonly<Record<string, string>>): Promise<Handler> {
  const { outputFiles } = await build({
    entryPoints: Object.entries(entries).map(([out, path]) => ({ out, in: join(root, path) })),
    ...{ bundle: true, splitting: true, format: "esm", platform: "browser", write: false },
    ...{ outdir: "/bundle", target: "es2022", plugins: [standIns], logLevel: "silent" },
  });
  const files = new Map(outputFiles.map(({ path, contents }) => [path, contents]));
  return (request, response) => {
    const contents = files.get(request.url?.split("?")[0] ?? "");
    if (!contents) return false;
    response.writeHead(200, { "content-type": "text/javascript" }).end(contents);
    return true;
  };
}
