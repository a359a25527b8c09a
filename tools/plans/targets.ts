/** Devices that need not be there: what plans are lowered for without a GPU. */
import type { Target } from "../../engine/lower/lowering.ts";

/** A GPU with WebGPU's default limits and no optional feature. */
export const DEFAULT_GPU: Target = {
  maxBufferSize: 256 * 2 ** 20,
  maxBindingSize: 128 * 2 ** 20,
  maxWorkgroupStorage: 16 * 2 ** 10,
  features: new Set(),
  software: false,
  bake: true,
};

/** lavapipe, as Mesa 25 describes it. */
export const SOFTWARE: Target = {
  maxBufferSize: 2 ** 31,
  maxBindingSize: 2 ** 27,
  maxWorkgroupStorage: 32 * 2 ** 10,
  features: new Set(["shader-f16", "subgroups", "timestamp-query"]),
  software: true,
  bake: false,
};
