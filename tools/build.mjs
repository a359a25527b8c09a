/**
 * Builds the package that is published, in dist/: JavaScript and types by tsc, shaders and texts as they
 * are, and a package.json whose paths end in .js. `npm publish ./dist` publishes it.
 */
import { spawnSync } from "node:child_process";
import {
  cpSync,
  existsSync,
  mkdirSync,
  readdirSync,
  readFileSync,
  rmSync,
  writeFileSync,
} from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const root = dirname(dirname(fileURLToPath(import.meta.url)));
const dist = join(root, "dist");

rmSync(dist, { recursive: true, force: true });
compile();
for (const path of copied()) copy(path);
nameWorkerScript();
writeFileSync(join(dist, "package.json"), `${JSON.stringify(manifest(), null, 2)}\n`);

function compile() {
  const tsc = join(root, "node_modules/typescript/bin/tsc");
  const { status } = spawnSync(process.execPath, [tsc, "-p", join(root, "tsconfig.build.json")], {
    stdio: "inherit",
  });
  if (status !== 0) process.exit(status ?? 1);
}

/** tsc rewrites imports, and this is none. */
function nameWorkerScript() {
  const path = join(dist, "worker/index.js");
  const text = readFileSync(path, "utf8");
  if (!text.includes('"./main.ts"')) throw new Error("worker/index.js names no ./main.ts");
  writeFileSync(path, text.replace('"./main.ts"', '"./main.js"'));
}

/** What is needed beside the code. */
function copied() {
  const shaders = readdirSync(join(root, "shaders"), { recursive: true, encoding: "utf8" });
  const texts = ["README.md", "CHANGELOG.md", "LICENSE", "SECURITY.md"];
  return [
    ...shaders
      .filter((name) => /\.(?:wgsl|mjs|mts)$/.test(name))
      .map((name) => join("shaders", name)),
    ...texts,
    // The checkpoint that ships, once there is one.
    ...["model/shapes"].filter((path) => existsSync(join(root, path))),
  ];
}

function copy(path) {
  mkdirSync(dirname(join(dist, path)), { recursive: true });
  cpSync(join(root, path), join(dist, path), { recursive: true });
}

/** Ours without what only a checkout needs. */
function manifest() {
  const {
    private: _,
    scripts,
    devDependencies,
    mocha,
    ...rest
  } = JSON.parse(readFileSync(join(root, "package.json"), "utf8"));
  return withJavaScript(rest);
}

function withJavaScript(value) {
  if (typeof value === "string") return value.replace(/^(\.\/.*)\.ts$/, "$1.js");
  if (Array.isArray(value) || typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [key, withJavaScript(inner)]),
  );
}
