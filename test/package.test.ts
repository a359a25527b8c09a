/** The package as its users meet it: what it exports, and what the README says about it. */
import assert from "node:assert/strict";
import { execFile } from "node:child_process";
import {
  existsSync,
  mkdirSync,
  mkdtempSync,
  readdirSync,
  readFileSync,
  rmSync,
  statSync,
  symlinkSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { promisify } from "node:util";

const root = dirname(import.meta.dirname);
const readme = readFileSync(join(root, "README.md"), "utf8");
const tsx = import.meta.resolve("tsx");

/** Programs in the README. */
const examples = [...readme.matchAll(/^```ts\n([\s\S]*?)^```/gm)].map(([, code]) => code as string);

describe("the package", () => {
  it("exports the model, the engine and the sampler by its own name", async () => {
    const { StableDiffusion, DiffusionError } = await import("wgsl-diffusion");
    const { openDevice, evaluate, DiffusionError: same } = await import("wgsl-diffusion/engine");
    const { createSampler } = await import("wgsl-diffusion/sampler");
    const { readImageFile, watermark } = await import("wgsl-diffusion");
    for (const each of [StableDiffusion.fromPretrained, openDevice, evaluate, createSampler]) {
      assert.equal(typeof each, "function");
    }
    for (const each of [readImageFile, watermark]) assert.equal(typeof each, "function");
    assert.equal(DiffusionError, same);
  });

  it("exports nothing else", async () => {
    const inner = "wgsl-diffusion/engine/plan.ts";
    await assert.rejects(import(inner), { code: "ERR_PACKAGE_PATH_NOT_EXPORTED" });
  });

  it("points at files that are there", () => {
    const { exports, bin, files } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
    for (const path of [...Object.values(exports), ...Object.values(bin), ...files]) {
      assert.ok(existsSync(join(root, path as string)), path as string);
    }
  });
});

describe("the fixtures", () => {
  it("are 10 MB all together at most", () => {
    const folder = join(root, "test/fixtures");
    const files = readdirSync(folder, { recursive: true, withFileTypes: true }).filter((entry) =>
      entry.isFile(),
    );
    const sizes = files.map(({ parentPath, name }) => statSync(join(parentPath, name)).size);
    const bytes = sizes.reduce((sum, size) => sum + size, 0);
    assert.ok(bytes <= 10e6, `${bytes} bytes`);
  });
});

describe("the README", () => {
  let folder = "";
  before(() => {
    // Inside of the package, so that its own name leads to it.
    mkdirSync(join(root, ".cache"), { recursive: true });
    folder = mkdtempSync(join(root, ".cache/readme-"));
    symlinkSync(join(root, "test/fixtures/tiny-v"), join(folder, "stable-diffusion-2-1"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));

  examples.forEach((code, i) => {
    it(`has an example that runs: ${code.match(/"wgsl-diffusion[^"]*"/)?.[0] ?? code}`, async () => {
      const file = join(folder, `example-${i}.ts`);
      writeFileSync(file, `${code}\nprocess.exit();\n`);
      await promisify(execFile)(process.execPath, ["--import", tsx, file], { cwd: folder });
      if (code.includes(".save(")) {
        const picture = readdirSync(folder).find((name) => name.endsWith(".png"));
        assert.equal(picture, "lighthouse-42.png");
      }
    });
  });

  it("has examples of the pipeline and of the engine", () => {
    assert.equal(examples.length, 2);
  });

  it("names every option of generate, and no other", async () => {
    const { stdout } = await promisify(execFile)(
      process.execPath,
      ["--import", tsx, "tools/cli/main.ts", "generate", "--help"],
      { cwd: root },
    );
    const section = /## Options of `generate`\n\n([\s\S]*?)\n\n/.exec(readme)?.[1] ?? "";
    const told = [...section.matchAll(/`(?:-\w, )?(--[a-z-]+)/g)].map(([, name]) => name);
    const there = [...stdout.matchAll(/^ {2}(?:-\w, )?(--[a-z-]+)/gm)].map(([, name]) => name);
    assert.deepEqual(new Set(told), new Set(there.filter((name) => name !== "--help")));
  });

  for (const file of markdown()) {
    it(`and the links of ${file} lead somewhere`, () => {
      const text = readFileSync(join(root, file), "utf8");
      const targets = [...text.matchAll(/\]\(([^)#\s]+)(?:#[^)]*)?\)/g)].map(
        ([, target]) => target!,
      );
      const local = targets.filter((target) => !/^[a-z]+:/.test(target));
      const broken = local.filter((target) => !existsSync(join(root, dirname(file), target)));
      assert.deepEqual(broken, []);
    });
  }
});

/** Our own pages: at the top, and one or two folders down. */
function markdown(): string[] {
  const folders = ["", "bench", "engine", "model", "sampler", "shaders", "test", "tools", "worker"];
  const deeper = ["test/fixtures", "tools/reference", "tools/train"];
  return [...folders, ...deeper].flatMap((folder) =>
    readdirSync(join(root, folder))
      .filter((name) => name.endsWith(".md"))
      .map((name) => join(folder, name)),
  );
}
