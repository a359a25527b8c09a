/** The depth that a depth checkpoint's UNet sees: estimated of the picture, or brought to size where it is given. */
import { DiffusionError } from "../../engine/errors.ts";
import type { Plan } from "../../engine/index.ts";
import type { Part } from "../checkpoint.ts";
import {
  compileDepth,
  compileDepthResize,
  type DepthLatents,
  type DptConfig,
  type DptProcessor,
  depthPixels,
  estimateDepth,
  givenDepth,
  inputMultiple,
} from "../depth/index.ts";
import { checkDepth, type DepthMap } from "../image/depth.ts";
import { type RgbImage, toRgb } from "../image/image.ts";
import { resize } from "../image/resize.ts";
import type { Setting } from "../painter.ts";

/** A checkpoint's own estimator. */
export interface Estimator extends Part<DptConfig> {
  readonly processor: DptProcessor;
}

type Size = readonly [height: number, width: number];

/**
 * Depth at latent size, -1 (far) to 1 (near). Throws BAD_REQUEST where none is given and the checkpoint has no
 * estimator, IMAGE_SIZE for a map whose data do not fit.
 */
export async function depthChannel(
  setting: Setting,
  estimator: Estimator | undefined,
  image: RgbImage,
  given: DepthMap | undefined,
  latents: Size,
): Promise<DepthLatents> {
  if (given) return resized(setting, given, latents);
  if (estimator) return estimated(setting, estimator, image, latents);
  throw new DiffusionError("BAD_REQUEST", "this checkpoint has no depth estimator: give depth", {
    hint: "On the command line: --depth FILE.",
  });
}

async function resized(setting: Setting, given: DepthMap, latents: Size): Promise<DepthLatents> {
  const { depth, warnings } = checkDepth(given);
  const plan = await compileDepthResize(setting, { from: [depth.height, depth.width], latents });
  const made = await thenFree(plan, () => givenDepth(plan, [depth]));
  return warnings[0] ? { ...made, warning: warnings[0] } : made;
}

async function estimated(
  setting: Setting,
  estimator: Estimator,
  image: RgbImage,
  latents: Size,
): Promise<DepthLatents> {
  const multiple = inputMultiple(estimator.config);
  const pixels = depthPixels(toRgb(image), estimator.processor, multiple, resize);
  const sizes = { from: [pixels.height, pixels.width] as const, latents };
  const plan = await compileDepth(setting, estimator, sizes);
  return thenFree(plan, () => estimateDepth(plan, [pixels]));
}

async function thenFree<T>(plan: Plan, work: () => Promise<T>): Promise<T> {
  try {
    return await work();
  } finally {
    await plan.destroy();
  }
}
