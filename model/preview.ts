/** A small picture of unfinished latents, while the loop runs: a pixel of eight by eight, by a matrix. */
import type { Plan } from "../engine/index.ts";
import type { Sampler } from "../sampler/index.ts";
import type { LatentRgb } from "./config/vae.ts";
import type { LatentShape } from "./denoise.ts";
import type { GenerateRequest, RgbaImage } from "./request.ts";

/**
 * For the VAE of Stable Diffusion 1 and 2, scaled latents to RGB in [-1, 1]; measured by Kevin Turner
 * (discuss.huggingface.co/t/23204, 2022).
 */
const STABLE_DIFFUSION: LatentRgb = {
  factors: [
    [0.298, 0.207, 0.208],
    [0.187, 0.286, 0.173],
    [-0.158, 0.189, 0.264],
    [-0.184, -0.271, -0.473],
  ],
  bias: [0, 0, 0],
};

/** The first picture of a state's plane 0, [B, h, w, 4], times `scale`. */
export function previewOf(
  state: ArrayLike<number>,
  { height, width, channels }: LatentShape,
  { factors, bias }: LatentRgb = STABLE_DIFFUSION,
  scale = 1,
): RgbaImage {
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let pixel = 0; pixel < width * height; pixel++) {
    for (let c = 0; c < 3; c++) {
      let value = bias[c]!;
      for (let i = 0; i < factors.length; i++) {
        value += scale * state[channels * pixel + i]! * factors[i]![c]!;
      }
      data[4 * pixel + c] = 127.5 * (value + 1);
    }
  }
  return { width, height, data };
}

export interface Previews {
  /** After step `number` of the loop. Throws what the callback threw. */
  show(number: number): void;
  /** Waits for the one under way. */
  done(): Promise<void>;
}

/**
 * Reads the latents back without holding up the loop; a preview is left out while one is under way. The
 * steps that were submitted meanwhile may be in it already.
 */
export function createPreviews(
  plan: Plan,
  { rows }: Sampler,
  latents: LatentShape,
  rgb: LatentRgb | undefined,
  onPreview: GenerateRequest["onPreview"],
): Previews {
  let fault: { error: unknown } | undefined;
  let reading: Promise<void> | undefined;
  const rethrow = () => {
    if (fault) throw fault.error;
  };
  const read = async (step: number) => {
    // What goes wrong on the GPU, the loop reports.
    const state = await plan.read("state").catch(() => undefined);
    reading = undefined;
    if (!state) return;
    // Solvers in σ hold latents that are up to 15 times as large as the UNet sees them.
    const scale = rows[step]?.inputScale ?? 1;
    try {
      onPreview?.({ step, steps: rows.length, image: previewOf(state, latents, rgb, scale) });
    } catch (error) {
      fault ??= { error };
    }
  };
  return {
    show(step) {
      rethrow();
      if (onPreview && step < rows.length) reading ??= read(step);
    },
    async done() {
      await reading;
      rethrow();
    },
  };
}
