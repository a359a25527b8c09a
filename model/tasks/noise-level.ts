/** The noise that the x4 upscaler puts on the picture that it enlarges: DDPM's forward process. */
import { alphasCumprod } from "../../sampler/schedule.ts";
import type { HostTensor } from "../image/prepare.ts";

/** What a single file implies: the x4 upscaler was published in one form. */
export const LOW_RES_SCHEDULER: Readonly<Record<string, unknown>> = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: "scaled_linear",
  trained_betas: null,
};

/** DDPMScheduler's own value for a key that its file lacks. */
const DEFAULTS = { ...LOW_RES_SCHEDULER, beta_schedule: "linear" };

/** √ᾱ and √(1 − ᾱ) at a noise level, in float32 as PyTorch (Ho et al. 2020, eq. 4). */
export function noising(
  config: Readonly<Record<string, unknown>>,
  level: number,
): { readonly image: number; readonly noise: number } {
  const alpha = alphasCumprod({ ...DEFAULTS, ...config })[level]!;
  const { fround, sqrt } = Math;
  return { image: fround(sqrt(alpha)), noise: fround(sqrt(fround(1 - alpha))) };
}

/** The small picture with noise on it. `noise` and the result are planes [3, h, w] as PyTorch lays them out. */
export function noisy(
  { data, shape: [, height, width] }: HostTensor,
  noise: Float32Array,
  share: ReturnType<typeof noising>,
): Float32Array {
  const area = height * width;
  return noise.map((value, i) => {
    const sample = data[(i % area) * 3 + Math.floor(i / area)]!;
    return share.image * sample + share.noise * value;
  });
}
