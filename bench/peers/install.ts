/** Installs what package-lock.json says, once; nothing outside of bench/ needs these packages. */
import { spawnSync } from "node:child_process";
import { copyFileSync, existsSync, mkdirSync, readFileSync } from "node:fs";
import { join } from "node:path";
import { PACKAGES } from "./peer.ts";

const FILES = ["package.json", "package-lock.json"];

/** Throws if npm fails. */
export function installPeers(): void {
  if (isInstalled()) return;
  mkdirSync(PACKAGES, { recursive: true });
  for (const file of FILES) copyFileSync(join(import.meta.dirname, file), join(PACKAGES, file));
  console.error("Installing the other engines (npm ci, about 500 MB) ...");
  // onnxruntime-node's install script would fetch CUDA libraries; its WebGPU needs none.
  const args = ["ci", "--ignore-scripts", "--no-audit", "--no-fund", "--loglevel=error"];
  const script = process.env.npm_execpath;
  const [command, ...first] = script ? [process.execPath, script] : ["npm"];
  const { status } = spawnSync(command!, [...first, ...args, "--prefix", PACKAGES], {
    cwd: PACKAGES,
    stdio: ["ignore", 2, 2],
  });
  if (status !== 0) throw new Error("npm ci failed in bench/peers: see above");
}

/** npm notes what it installed last of all. */
function isInstalled(): boolean {
  const done = join(PACKAGES, "node_modules/.package-lock.json");
  const same = (file: string) =>
    existsSync(join(PACKAGES, file)) &&
    readFileSync(join(PACKAGES, file), "utf8") ===
      readFileSync(join(import.meta.dirname, file), "utf8");
  return existsSync(done) && FILES.every(same);
}
