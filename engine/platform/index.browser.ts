/** The platform as browsers have it: `navigator.gpu`, and shaders as a module. */
import { TEXTS } from "../../shaders/texts.mjs";
import type { DeviceOptions } from "../device.ts";
import { DiffusionError } from "../errors.ts";

/** The browser's WebGPU; which adapter it gives is for the browser to say. Throws NO_WEBGPU. */
export async function loadGPU(_options: DeviceOptions): Promise<GPU> {
  const gpu = globalThis.navigator?.gpu as GPU | undefined;
  if (gpu) return gpu;
  if (globalThis.isSecureContext === false) {
    throw new DiffusionError("NO_WEBGPU", "WebGPU is only there on secure pages", {
      hint: "Open this page over https, or on localhost.",
    });
  }
  throw new DiffusionError("NO_WEBGPU", "WebGPU is not available in this browser", {
    hint: "Chrome or Edge 113+, Safari 26+, Firefox 141+ on Windows or 145+ on macOS have it; on Linux Chrome may want chrome://flags/#enable-unsafe-webgpu.",
  });
}

/** The text of shaders/<stem>.wgsl. */
export async function readShader(stem: string): Promise<string> {
  const text = TEXTS[stem];
  if (text !== undefined) return text;
  throw new DiffusionError("INTERNAL", `there is no shader ${stem} in shaders/texts.mjs`);
}

/** No matrix units: browsers offer them in experiments only, and shaders/texts.mjs leaves their kernels out. */
export function matrixWanted(_options: DeviceOptions, _software: boolean): boolean {
  return false;
}

export { tuningStore } from "./tuning-store.browser.ts";

export const noAdapterHint =
  "The browser has WebGPU but no GPU for it: chrome://gpu says why; update the driver, or turn hardware acceleration on.";
