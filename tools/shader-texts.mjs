/**
 * Writes shaders/texts.mjs: the text of every .wgsl file as one module, which is how shaders reach a
 * browser through any bundler, or none. Node reads the files themselves. Comments are left out, lines are
 * kept, so that a compiler's message names the line of the file. Every npm script runs this (some 10 ms).
 */
import { readdirSync, readFileSync, writeFileSync } from "node:fs";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";

const folder = join(dirname(dirname(fileURLToPath(import.meta.url))), "shaders");

/** Kernels for matrix units: no browser offers those but in experiments, and every byte counts. */
const MATRIX = /(^|\/)matrix-/;

/** The module's text: `export const TEXTS = { "gemm": "…", "lib/grid": "…" }`. */
export function shaderTexts() {
  const names = readdirSync(folder, { recursive: true, encoding: "utf8" })
    .filter((name) => name.endsWith(".wgsl") && !MATRIX.test(name))
    .map((name) => name.replaceAll("\\", "/"))
    .sort();
  const entries = names.map((name) => {
    const text = withoutComments(readFileSync(join(folder, name), "utf8"));
    return `  ${JSON.stringify(name.replace(/\.wgsl$/, ""))}: ${JSON.stringify(text)},`;
  });
  return `// Made of the .wgsl files by tools/shader-texts.mjs.\nexport const TEXTS = {\n${entries.join("\n")}\n};\n`;
}

/** WGSL has no strings: what looks like a comment is one. */
function withoutComments(text) {
  return text
    .replace(/\/\*[\s\S]*?\*\//g, (comment) => comment.replace(/[^\n]/g, ""))
    .replace(/[ \t]*\/\/.*$/gm, "");
}

/** Writes the module where it is missing or of other texts. */
export function writeShaderTexts() {
  const path = join(folder, "texts.mjs");
  const text = shaderTexts();
  if (read(path) !== text) writeFileSync(path, text);
}

function read(path) {
  try {
    return readFileSync(path, "utf8");
  } catch {
    return undefined;
  }
}

if (process.argv[1] === fileURLToPath(import.meta.url)) writeShaderTexts();
