/** The GPU's part of a task's inputs: plans that run once before the loop and are freed at once. */
import type { Plan } from "../../engine/index.ts";
import type { Checkpoint } from "../checkpoint.ts";
import { type LatentShape, latentsOf } from "../denoise.ts";
import { compileEncoder, encode } from "../encode.ts";
import { compileFitting } from "../fit.ts";
import type { HostTensor } from "../image/prepare.ts";
import type { Setting } from "../painter.ts";

/** Encodes pictures of one size, and is compiled when the first comes. */
export interface PictureEncoder extends AsyncDisposable {
  /** noise and result are [C, h, w] as PyTorch lays them out. */
  encode(picture: HostTensor, noise: Float32Array): Promise<Float32Array>;
}

/** Throws WEIGHTS_MISMATCH if the checkpoint has no encoder, and what `compile` throws. */
export function pictureEncoder(
  setting: Setting,
  checkpoint: Checkpoint,
  latents: LatentShape,
  vaeTiling: boolean | undefined,
): PictureEncoder {
  const one = { ...latents, batch: 1 };
  let plan: Plan | undefined;
  return {
    async encode({ data, shape: [batch, height, width] }, noise) {
      const sizes = { batch, height, width };
      plan ??= (
        await compileFitting((vae) => compileEncoder(setting, checkpoint, sizes, vae), {
          vaeTiling,
        })
      ).plan;
      encode(plan, data, noise, one);
      const values = (await plan.read("latents")) as Float32Array;
      setting.signal.throwIfAborted();
      return latentsOf(values, one);
    },
    async [Symbol.asyncDispose]() {
      await plan?.destroy();
    },
  };
}
