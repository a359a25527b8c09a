/** The directions of import between the folders, and where the platform may be met. */
import assert from "node:assert/strict";
import { existsSync, readdirSync, readFileSync } from "node:fs";
import { dirname, join, normalize, sep } from "node:path";

/**
 * Each folder may import itself and these. The model names kernels that the engine does not know
 * (a sampler's step), as data: a kernel's declaration holds no GPU object.
 */
const MAY_IMPORT: Readonly<Record<string, readonly string[]>> = {
  shaders: [],
  engine: ["shaders"],
  sampler: [],
  model: ["shaders", "engine", "sampler"],
  worker: ["engine", "model"],
  tools: ["engine", "shaders", "model", "sampler", "worker"],
  bench: ["engine", "shaders", "model", "sampler", "tools"],
};

/** These run in browsers too; tools and bench are programs for Node. */
const PORTABLE = ["shaders", "engine", "sampler", "model", "worker"];

const root = dirname(import.meta.dirname);

interface Import {
  readonly file: string;
  readonly target: string;
  /** Nothing of it is left at run time. */
  readonly typeOnly: boolean;
}

function sourceFiles(folder: string): string[] {
  if (!existsSync(join(root, folder))) return [];
  return readdirSync(join(root, folder), { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".ts") && !name.includes("node_modules"))
    .map((name) => join(folder, name));
}

/** Static, dynamic and type imports, re-exports and `typeof import()`. */
function importsOf(source: string): Omit<Import, "file">[] {
  const pattern =
    /(?:\b(?:import|export)\s+(type\s)?[^"';()]*?\bfrom|^\s*import|\bimport\s*\()\s*["']([^"'\n]+)["']/gm;
  return [...withoutComments(source).matchAll(pattern)].map(([, type, target]) => ({
    target: target as string,
    typeOnly: type !== undefined,
  }));
}

function allImports(folders: readonly string[]): Import[] {
  return folders
    .flatMap(sourceFiles)
    .flatMap((file) =>
      importsOf(readFileSync(join(root, file), "utf8")).map((each) => ({ file, ...each })),
    );
}

function folderOf({ file, target }: Import): string | undefined {
  return target.startsWith(".") ? normalize(join(dirname(file), target)).split(sep)[0] : undefined;
}

const isPlatform = (target: string) =>
  target.startsWith("node:") || ["webgpu", "pngjs", "sharp"].includes(target);

describe("the layers", () => {
  for (const [folder, allowed] of Object.entries(MAY_IMPORT)) {
    it(`${folder}/ imports only ${[folder, ...allowed].join(", ")}`, () => {
      const wrong = allImports([folder]).filter((each) => {
        const other = folderOf(each);
        return other !== undefined && other !== folder && !allowed.includes(other);
      });
      assert.deepEqual(wrong, []);
    });
  }

  it("sampler/ is known to the pipeline only, not to the layers of the network", () => {
    const NETWORK = /^model\/(layers|clip|unet|vae|depth)\b/;
    const wrong = allImports(["model"]).filter(
      (each) => NETWORK.test(each.file) && folderOf(each) === "sampler",
    );
    assert.deepEqual(wrong, []);
  });

  it("meets the platform only in files named .node.ts", () => {
    const wrong = allImports(PORTABLE).filter(
      ({ file, target }) => isPlatform(target) && !file.endsWith(".node.ts"),
    );
    assert.deepEqual(wrong, []);
  });

  it("imports .browser.ts files from their like only", () => {
    const wrong = allImports(PORTABLE).filter(
      ({ file, target }) => target.endsWith(".browser.ts") && !file.endsWith(".browser.ts"),
    );
    assert.deepEqual(wrong, []);
  });

  it("imports .node.ts files from their like only; portable code says #platform", () => {
    const wrong = allImports(PORTABLE).filter(
      ({ file, target, typeOnly }) =>
        target.endsWith(".node.ts") && !file.endsWith(".node.ts") && !typeOnly,
    );
    assert.deepEqual(wrong, []);
  });

  it("uses Node's globals only in files named .node.ts", () => {
    const NODE_GLOBAL = /(?<![.\w"'`])(process|Buffer|__dirname|require)\s*[.(]/;
    const wrong = PORTABLE.flatMap(sourceFiles)
      .filter((file) => !file.endsWith(".node.ts"))
      .filter((file) => NODE_GLOBAL.test(withoutComments(readFileSync(join(root, file), "utf8"))));
    assert.deepEqual(wrong, []);
  });

  it("imports with the extension .ts, so that no build is needed", () => {
    const wrong = allImports(Object.keys(MAY_IMPORT)).filter(
      ({ target }) => target.startsWith(".") && !/\.(ts|json|mjs)$/.test(target),
    );
    assert.deepEqual(wrong, []);
  });

  it("sees every form of import", () => {
    const source = `import a from "./a.ts";\nimport type { B } from "./b.ts";\nimport {\n c,\n} from "./c.ts";
      export * from "./d.ts";\nconst e = await import("./e.ts");\ntype F = typeof import("./f.ts");\nimport "./g.ts";
      // import h from "./h.ts"\n/* import i from "./i.ts" */`;
    assert.deepEqual(
      importsOf(source).map(({ target, typeOnly }) => (typeOnly ? `type ${target}` : target)),
      ["./a.ts", "type ./b.ts", "./c.ts", "./d.ts", "./e.ts", "./f.ts", "./g.ts"],
    );
  });
});

function withoutComments(source: string): string {
  return source.replace(/\/\*[\s\S]*?\*\//g, "").replace(/\/\/.*$/gm, "");
}
