/** Whether a UNet that takes latents alone predicts the noise or v: two rules that need no file. */

import { decodeHalf } from "../engine/dtype.ts";
import { DiffusionError } from "../engine/errors.ts";
import type { StoredTensor } from "../engine/safetensors.ts";
import type { PredictionType } from "./detect.ts";

/** ComfyUI's bound (supported_models.py, SD20): v-models have the larger deviation. */
const NORM_BIAS = 0.09;
/** Within this factor of the bound the rule is not trusted alone. */
const DOUBT = 1.5;

/** v if the norm's bias deviates by more than 0.09. */
export function predictionByNormBias(deviation: number): PredictionType {
  return deviation > NORM_BIAS ? "v_prediction" : "epsilon";
}

/** Whether the deviation is so near the bound that the probe should be asked too. */
export function isDoubtful(deviation: number): boolean {
  return !(deviation > NORM_BIAS * DOUBT || deviation < NORM_BIAS / DOUBT);
}

const NORM = /^output_blocks\.(\d+)\.1\.transformer_blocks\.0\.norm1\.bias$/;

/**
 * The standard deviation of the bias of the last transformer's first norm (320 numbers; the only
 * weight that is read before the UNet is). `unet` has the original's names.
 * Throws WEIGHTS_MISMATCH if there is no such tensor.
 */
export async function normBiasDeviation(unet: ReadonlyMap<string, StoredTensor>): Promise<number> {
  const blocks = [...unet.keys()].map((name) => Number(NORM.exec(name)?.[1] ?? -1));
  const name = `output_blocks.${Math.max(...blocks)}.1.transformer_blocks.0.norm1.bias`;
  const tensor = unet.get(name);
  if (!tensor) {
    throw new DiffusionError("WEIGHTS_MISMATCH", "the UNet's last level has no transformer", {
      hint: "say what it predicts: --prediction eps or --prediction v",
    });
  }
  return deviation(numbers(tensor, (await tensor.read(0, tensor.byteLength)).slice()));
}

function numbers({ name, dtype }: StoredTensor, bytes: Uint8Array<ArrayBuffer>): Float32Array {
  const { buffer } = bytes;
  if (dtype === "F32") return new Float32Array(buffer);
  if (dtype === "F16") return decodeHalf(new Uint16Array(buffer));
  if (dtype === "BF16") {
    return new Float32Array(Uint32Array.from(new Uint16Array(buffer), (half) => half << 16).buffer);
  }
  throw new DiffusionError("WEIGHTS_DTYPE", `${name} is stored as ${dtype}; expected F32|F16|BF16`);
}

function deviation(values: Float32Array): number {
  const mean = values.reduce((sum, x) => sum + x, 0) / values.length;
  return Math.sqrt(values.reduce((sum, x) => sum + (x - mean) ** 2, 0) / values.length);
}

/** What the UNet is asked: latents [1,4,8,8] and a context [1,2,D], all of them 0.5, at timestep 999. */
export const PROBE = { value: 0.5, size: 8, tokens: 2, timestep: 999 } as const;

/**
 * The probe of AUTOMATIC1111 and stable-diffusion.cpp: at the noisiest step a model of the noise gives its input
 * back, one of v something far below it. Throws NUMERIC where the output is not finite.
 */
export function predictionByProbe(output: ArrayLike<number>): PredictionType {
  let sum = 0;
  for (let i = 0; i < output.length; i++) sum += output[i]! - PROBE.value;
  const mean = sum / output.length;
  if (!Number.isFinite(mean)) {
    const hint = "retry with f32; if that fails too, the weights hold NaN or infinity";
    throw new DiffusionError("NUMERIC", "the UNet put out numbers that are not finite", { hint });
  }
  return mean < -1 ? "v_prediction" : "epsilon";
}
