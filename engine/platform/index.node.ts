/** The platform as Node has it: Dawn, and shaders as files. */
import { readFile } from "node:fs/promises";
import type { DeviceOptions } from "../device.ts";
import { loadWebGPU, matrixWanted } from "./dawn.node.ts";

export function loadGPU(options: DeviceOptions): Promise<GPU> {
  return loadWebGPU({
    adapter: options.adapter,
    preferSoftware: options.preferSoftware,
    backend: options.backend,
    switches: options.switches,
    matrix: options.matrix,
  });
}

/** The text of shaders/<stem>.wgsl. */
export function readShader(stem: string): Promise<string> {
  return readFile(new URL(`../../shaders/${stem}.wgsl`, import.meta.url), "utf8");
}

export { tuningStore } from "./tuning-store.node.ts";

export const noAdapterHint = "Run `wgsl-diffusion devices` to see why.";

export { matrixWanted };
