/**
 * Steps on a canvas that is larger than what the UNet sees at once: it predicts in overlapping tiles, and the
 * solver steps on their smooth average. Averaging predictions is Mixture of Diffusers (Jiménez 2023,
 * arXiv:2302.02412). MultiDiffusion (Bar-Tal et al. 2023, arXiv:2302.08113) averages the latents after the step:
 * the same here, for a step is linear in the prediction and the tiles share all that it reads beside it.
 */
import { custom, input, type Tensor } from "../engine/index.ts";
import type { Weights } from "../engine/parameters.ts";
import { tileBlend } from "../shaders/tile-blend.ts";
import { tileCut } from "../shaders/tile-cut.ts";
import type { UnetConfig } from "./config.ts";
import { conditionOf, type StepSizes, solverStep, stepInputs, unetInput } from "./denoise.ts";
import type { Sides } from "./tile-grid.ts";
import { unet } from "./unet.ts";

/**
 * One tile's share of the prediction. Inputs: those of `stepGraph` but noise and guidance; `place` [3] i32: top,
 * left and the tile's number; `rows` [h] and `columns` [w], the tile's shares (tile-grid.ts); `sum`
 * [repeats·B, h, w, C] f32, which the tile is added to (the first takes its place).
 */
export function tileGraph(
  w: Weights,
  config: UnetConfig,
  sizes: StepSizes,
  tile: Sides,
): { added: Tensor } {
  const { batch, height, width, channels } = sizes.latents;
  const inputs = stepInputs(sizes);
  const canvas = unetInput(inputs, sizes);
  const place = input("place", [3], "i32");
  const params = { batch: sizes.repeats * batch, height, width, tile, channels: canvas.shape[3]! };
  const shape = [params.batch, tile.height, tile.width, params.channels];
  const x = custom(tileCut, params, { x: canvas, place }, shape, canvas.dtype);
  const m = unet(w, config, x, conditionOf(inputs.step, sizes));
  const sum = input("sum", [params.batch, height, width, channels], "f32");
  const shares = {
    rows: input("rows", [height], "f32"),
    columns: input("columns", [width], "f32"),
  };
  const operands = { sum, m, place, ...shares };
  return { added: custom(tileBlend, { ...params, channels }, operands, sum.shape, "f32") };
}

/** state -> the state after one evaluation, of the tiles' `sum`. Other inputs as of `stepGraph`. */
export function blendedStepGraph(sizes: StepSizes): { next: Tensor } {
  const { batch, height, width, channels } = sizes.latents;
  const sum = input("sum", [sizes.repeats * batch, height, width, channels], "f32");
  return { next: solverStep(sum, stepInputs(sizes), sizes) };
}
