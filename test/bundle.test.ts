/** The package as bundlers see it when they build for browsers. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { builtinModules } from "node:module";
import { join } from "node:path";
import { gzipSync } from "node:zlib";
import { build } from "esbuild";
import { build as viteBuild } from "vite";
// @ts-expect-error: a script without types
import { shaderTexts } from "../tools/shader-texts.mjs";

const root = join(import.meta.dirname, "..");

/**
 * What a worker loads to paint with a model's folder, shaders included, minified and gzipped. Single files in the
 * original's layout bring their own part when one is opened.
 */
const MOST_BYTES = 120_000;

async function bundled(contents: string) {
  const { metafile } = await build({
    stdin: { contents, resolveDir: root },
    ...{ bundle: true, splitting: true, minify: true, metafile: true, write: false },
    ...{ format: "esm", platform: "browser", outdir: join(root, "out"), logLevel: "silent" },
  });
  const inputs = Object.keys(metafile.inputs);
  return { inputs, outputs: Object.values(metafile.outputs) };
}

interface Chunk {
  readonly code?: string;
  /** It is loaded when it is needed. */
  readonly isDynamicEntry?: boolean;
}

/** The chunks that the library loads at once, as vite minifies them. */
async function minified(): Promise<string[]> {
  const built = await viteBuild({
    ...{ root, configFile: false, logLevel: "error" },
    build: {
      ...{ write: false, target: "es2022", modulePreload: false, chunkSizeWarningLimit: 5000 },
      rolldownOptions: {
        input: join(root, "worker/main.ts"),
      },
    },
  });
  const { output } = built as { output: readonly Chunk[] };
  return output.flatMap(({ code, isDynamicEntry }) => (code && !isDynamicEntry ? [code] : []));
}

describe("a bundle for browsers", () => {
  for (const name of ["wgsl-diffusion", "wgsl-diffusion/worker", "wgsl-diffusion/worker/main"]) {
    it(`of ${name} reaches nothing of Node`, async () => {
      const { inputs, outputs } = await bundled(`export * from "${name}"`);
      assert.deepEqual(
        inputs.filter((path) => /\.node\.ts$|\/(?:pngjs|webgpu|sharp)\//.test(path)),
        [],
      );
      const external = outputs.flatMap(({ imports }) => imports.filter((each) => each.external));
      assert.deepEqual(external, []);
      assert.ok(inputs.some((path) => path.endsWith("engine/platform/index.browser.ts")));
    });
  }

  it("fails where a module of Node is reached, so that the test above can", async () => {
    await assert.rejects(bundled(`export * from "./model/png.node.ts"`), /Could not resolve/);
    assert.ok(builtinModules.includes("fs"));
  });

  it(`has at most ${MOST_BYTES} bytes of JavaScript, shaders included, minified and gzipped`, async () => {
    const code = await minified();
    const sizes = code.map((text) => gzipSync(text, { level: 9 }).length);
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    assert.ok(bytes <= MOST_BYTES, `${bytes} bytes`);
    assert.ok(bytes > MOST_BYTES / 2, "and all of it is there");
    assert.ok(code.some((text) => text.includes("@workgroup_size")));
  }).timeout(300_000);
});

describe("shaders/texts.mjs", () => {
  it("is what the .wgsl files say, line by line, without comments", async () => {
    const written = readFileSync(join(root, "shaders/texts.mjs"), "utf8");
    assert.ok(written === shaderTexts(), "run any npm script, or: node tools/shader-texts.mjs");
    const { TEXTS } = await import("../shaders/texts.mjs");
    const file = readFileSync(join(root, "shaders/gemm.wgsl"), "utf8").split("\n");
    const lines = TEXTS.gemm!.split("\n");
    assert.equal(lines.length, file.length);
    for (const [i, line] of lines.entries()) assert.equal(line, file[i]!.replace(/\s*\/\/.*$/, ""));
  });
});
