/** Records of tuning as files in the user's cache folder, one a device. */
import { createHash, randomUUID } from "node:crypto";
import { mkdir, readFile, rename, rm, writeFile } from "node:fs/promises";
import { homedir } from "node:os";
import { join } from "node:path";
import type { TuningStore } from "../tuning/record.ts";

/** The user's store; none where `WGSL_DIFFUSION_TUNING=off` says so. */
export function tuningStore(): TuningStore | undefined {
  if (process.env.WGSL_DIFFUSION_TUNING === "off") return undefined;
  return fileTuningStore(join(cacheFolder(), "wgsl-diffusion", "tuning"));
}

export function fileTuningStore(folder: string): TuningStore {
  return {
    async read(device) {
      try {
        return await readFile(join(folder, fileName(device)), "utf8");
      } catch (error) {
        if (NOT_THERE.includes((error as NodeJS.ErrnoException).code ?? "")) return undefined;
        throw error;
      }
    },
    async write(device, text) {
      await mkdir(folder, { recursive: true });
      const path = join(folder, fileName(device));
      // A name of its own: two may tune at once, and the file must be whole for a third.
      const part = `${path}.${randomUUID()}.part`;
      try {
        await writeFile(part, text);
        await rename(part, path);
      } finally {
        await rm(part, { force: true });
      }
    },
  };
}

const NOT_THERE = ["ENOENT", "ENOTDIR"];

/** Readable, and unlike any other device's. */
function fileName(device: string): string {
  const readable = device.replace(/[^\w.]+/g, "-").slice(0, 60);
  const hash = createHash("sha256").update(device).digest("hex").slice(0, 8);
  return `${readable}-${hash}.json`;
}

/** Where the system wants caches. */
function cacheFolder(): string {
  const { XDG_CACHE_HOME, LOCALAPPDATA } = process.env;
  if (XDG_CACHE_HOME) return XDG_CACHE_HOME;
  if (process.platform === "win32" && LOCALAPPDATA) return LOCALAPPDATA;
  if (process.platform === "darwin") return join(homedir(), "Library", "Caches");
  return join(homedir(), ".cache");
}
