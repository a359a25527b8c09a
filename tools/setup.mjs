/**
 * Makes node_modules what package-lock.json says, and the shaders a module for browsers, so that each npm
 * script works on a fresh clone.
 * Runs under plain Node: nothing is installed yet. Does nothing when all is there (some 10 ms).
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { writeShaderTexts } from "./shader-texts.mjs";

const root = dirname(dirname(fileURLToPath(import.meta.url)));

if (!isInstalled()) {
  process.stderr.write("Installing dependencies (npm ci) ...\n");
  // No install scripts: nothing that we use needs one, and what does not run cannot harm.
  const status = npm(["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"]);
  if (status !== 0) process.exit(status);
}
writeShaderTexts();

/** npm notes what it installed in node_modules/.package-lock.json, last of all. */
function isInstalled() {
  const wanted = packages(join(root, "package-lock.json"));
  const found = packages(join(root, "node_modules/.package-lock.json"));
  return Object.entries(wanted).every(
    ([path, entry]) =>
      path === "" || found[path]?.version === entry.version || maySkip(path, wanted, found),
  );
}

function packages(file) {
  try {
    return JSON.parse(readFileSync(file, "utf8")).packages ?? {};
  } catch {
    return {};
  }
}

/** npm skips what is optional and for another platform, and what only such packages need. */
function maySkip(path, wanted, found) {
  const { optional, os, cpu, libc } = wanted[path];
  if (optional !== true) return false;
  if ((os ?? cpu ?? libc) !== undefined) return true;
  const name = path.slice(path.lastIndexOf("node_modules/") + "node_modules/".length);
  return Object.entries(wanted).every(([by, entry]) => !needs(entry, name) || !isThere(by, found));
}

function needs({ dependencies, optionalDependencies, peerDependencies }, name) {
  return [dependencies, optionalDependencies, peerDependencies].some((all) => all && name in all);
}

/** The package itself is "". */
function isThere(path, found) {
  return path === "" || found[path] !== undefined;
}

/** Under `npm run`, npm names its own script; that also works where `npm` is a .cmd file. */
function npm(args) {
  const script = process.env.npm_execpath;
  const [command, ...first] = script ? [process.execPath, script] : ["npm"];
  // Output of npm belongs to our diagnostics: standard output may be a picture.
  const result = spawnSync(command, [...first, ...args], { cwd: root, stdio: ["ignore", 2, 2] });
  if (result.error) process.stderr.write(`npm does not start: ${result.error.message}\n`);
  return result.status ?? 1;
}
