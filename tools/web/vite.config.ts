/** The page's build: its files, the library from source, and the checkpoint that ships beside it. */
import { cpSync, readFileSync } from "node:fs";
import { join, resolve } from "node:path";
import { defineConfig, type Plugin, type ResolvedConfig } from "vite";
import { serveFile } from "./server/files.ts";

const root = join(import.meta.dirname, "../..");
const { version } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));

/** Serves model/shapes at models/shapes/, and copies it into a build. */
function shippedModel(): Plugin {
  const folder = join(root, "model/shapes");
  let config: ResolvedConfig;
  return {
    name: "shipped-model",
    configResolved(resolved) {
      config = resolved;
    },
    configureServer({ middlewares }) {
      middlewares.use("/models/shapes", (request, response, next) => {
        serveFile(folder, request, response).then((found) => found || notFound(response), next);
      });
    },
    closeBundle() {
      if (config.command === "build")
        cpSync(folder, resolve(config.root, config.build.outDir, "models/shapes"), {
          recursive: true,
        });
    },
  };
}

/** Not the page: a file that is missing must look missing. */
function notFound(response: import("node:http").ServerResponse): void {
  response.writeHead(404, { "content-type": "text/plain" }).end("not here");
}

export default defineConfig({
  root: import.meta.dirname,
  base: "./",
  define: { __VERSION__: JSON.stringify(version) },
  worker: { format: "es" },
  cacheDir: join(root, ".cache/vite"),
  build: {
    outDir: join(root, ".cache/web"),
    emptyOutDir: true,
    chunkSizeWarningLimit: 4000,
    modulePreload: { polyfill: false },
  },
  server: { host: "127.0.0.1", fs: { allow: [root] } },
  plugins: [shippedModel()],
});
