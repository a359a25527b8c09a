/**
 * The denoising loop as graphs: the UNet, guidance and one row of the sampler's table are one plan, which
 * runs once per step on a state that stays on the GPU. All that the host writes is the step's number.
 */

import {
  cast,
  concat,
  custom,
  type DType,
  embedding,
  input,
  reshape,
  type Tensor,
} from "../engine/index.ts";
import type { Weights } from "../engine/parameters.ts";
import type { Generator } from "../engine/random.ts";
import type { Sampler, Start } from "../sampler/index.ts";
import { GUIDANCE_COLUMNS } from "../shaders/guidance.ts";
import { modelInput } from "../shaders/model-input.ts";
import { STATE_PLANES, samplerStep, TABLE_COLUMNS } from "../shaders/sampler-step.ts";
import type { UnetConfig } from "./config.ts";
import { guide } from "./guidance.ts";
import type { Stage } from "./run-guidance.ts";
import { type Condition, textProjections, timeProjections, unet } from "./unet.ts";

/** The sizes that a plan is compiled for. */
export interface LatentShape {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
}

/** Everything of the UNet that depends on the prompt alone, by the path of the attention. */
export function textGraph(w: Weights, config: UnetConfig, context: Tensor): Record<string, Tensor> {
  return Object.fromEntries(textProjections(w, config, context));
}

/**
 * The rows of keys and values that a step shows its halves, for texts that change on the way. Inputs: `rows`
 * [halves · B] i32, and `all.<path>` [encodings, N, 2C] -> by path [halves · B, N, 2C].
 */
export function selectGraph(
  encoded: Readonly<Record<string, Tensor>>,
  halves: number,
): Record<string, Tensor> {
  const rows = input("rows", [halves], "i32");
  const chosen = (path: string, { shape, dtype }: Tensor): Tensor => {
    const [encodings, tokens, channels] = shape as [number, number, number];
    const all = reshape(input(allOf(path), shape, dtype), [encodings, tokens * channels]);
    return reshape(embedding(rows, all), [halves, tokens, channels]);
  };
  return Object.fromEntries(
    Object.entries(encoded).map(([path, tensor]) => [path, chosen(path, tensor)]),
  );
}

/** The name of a path's keys and values before any are chosen. */
export function allOf(path: string): string {
  return `all.${path}`;
}

/** Everything that depends on the timesteps (and the class, see `timeProjections`) alone, a row a step. */
export function timeGraph(w: Weights, sinusoids: Tensor, label?: Tensor): { times: Tensor } {
  return { times: cast(timeProjections(w, sinusoids, label), "f32") };
}

export interface StepSizes {
  readonly latents: LatentShape;
  readonly evaluations: number;
  /** 2 with classifier-free guidance (unconditional half first), more with several conditions, else 1. */
  readonly repeats: number;
  readonly dtype: DType;
  /** Whether the sampler draws noise in its steps (`sampler.draws > 0`). */
  readonly noise?: boolean | undefined;
  /** Guidance as a stage of its own; without one, `repeats` is 1 or 2. */
  readonly stage?: Stage | undefined;
  /** Shapes of the graphs above. */
  readonly text: Readonly<Record<string, Tensor>>;
  readonly times: Tensor;
  /** Channels that the UNet takes beside the latents: mask, depth or a small picture. */
  readonly beside?: number | undefined;
}

/**
 * state -> the state after one evaluation. Inputs: `state` [7, B, h, w, C] f32 (see sampler-step.wgsl),
 * `step` [1] i32, `table` [evaluations, 16] f32, `times`, the text's keys and values by path; `noise`
 * [B, h, w, C] f32 where the sampler draws any; with a stage `guidance` [evaluations, 8] f32 (`guidanceTable`), and
 * `conditions` [repeats - 1] f32 where they are weighted; and where the UNet takes more than latents, `beside`
 * [repeats·B, h, w, channels], which stays the same in all steps.
 */
export function stepGraph(w: Weights, config: UnetConfig, sizes: StepSizes): { next: Tensor } {
  const inputs = stepInputs(sizes);
  const m = unet(w, config, unetInput(inputs, sizes), conditionOf(inputs.step, sizes));
  return { next: solverStep(m, inputs, sizes) };
}

/** What every step reads. */
export interface StepInputs {
  readonly state: Tensor;
  readonly step: Tensor;
  readonly table: Tensor;
}

export function stepInputs({ latents, evaluations }: StepSizes): StepInputs {
  const { batch, height, width, channels } = latents;
  return {
    state: input("state", [STATE_PLANES, batch, height, width, channels], "f32"),
    step: input("step", [1], "i32"),
    table: input("table", [evaluations, TABLE_COLUMNS], "f32"),
  };
}

/** The latents as the UNet takes them: scaled, once for each half of guidance, unscaled channels after them. */
export function unetInput({ state, table, step }: StepInputs, sizes: StepSizes): Tensor {
  const { latents, repeats, dtype, beside } = sizes;
  const { batch, height, width, channels } = latents;
  const shape = [repeats * batch, height, width, channels];
  const params = { pixels: batch * height * width, repeats };
  const x = custom(modelInput, params, { state, table, step }, shape, dtype);
  if (!beside) return x;
  return concat([x, input("beside", x.shape.with(-1, beside), dtype)], -1);
}

/** The step's row of the times, and the text's keys and values: inputs made by other plans. */
export function conditionOf(step: Tensor, { times, text }: StepSizes): Condition {
  const projections = new Map(
    Object.entries(text).map(([path, t]) => [path, input(path, t.shape, t.dtype)] as const),
  );
  const rows = input("times", times.shape, "f32");
  return { times: embedding(step, rows), text: (path) => projections.get(path)! };
}

/** The state after a step, of what the UNet predicts: m [repeats·B, h, w, C]. */
export function solverStep(
  m: Tensor,
  { state, table, step }: StepInputs,
  sizes: StepSizes,
): Tensor {
  const { latents, repeats, evaluations } = sizes;
  const shape = state.shape;
  const params = { pixels: latents.batch * latents.height * latents.width, repeats };
  const noise = sizes.noise && { noise: input("noise", shape.slice(1), "f32") };
  if (!sizes.stage) {
    return custom(samplerStep, params, { state, m, table, step, ...noise }, shape, "f32");
  }
  const { rescale, thresholding, weighted } = sizes.stage;
  const scales = input("guidance", [evaluations, GUIDANCE_COLUMNS], "f32");
  const weights = weighted ? input("conditions", [repeats - 1], "f32") : undefined;
  const guided = guide(m, { state, step, table: scales, weights, rescale, thresholding });
  const operands = { state, m: guided, table, step, ...noise };
  return custom(samplerStep, { ...params, repeats: 1 }, operands, shape, "f32");
}

/** The sampler's rows as sampler-step.wgsl reads them, with one guidance scale, or one for each row. */
export function coefficientTable(
  sampler: Sampler,
  guidanceScale: number | readonly number[],
): Float32Array {
  const table = new Float32Array(sampler.rows.length * TABLE_COLUMNS);
  sampler.rows.forEach((row, i) => {
    const store = row.store ?? { slot: -1, add: false, x: 0, output: 0 };
    const values = [
      row.inputScale,
      row.x,
      row.kept,
      row.output,
      ...row.history,
      row.keep ? 1 : 0,
      store.slot,
      store.add ? 1 : 0,
      typeof guidanceScale === "number" ? guidanceScale : guidanceScale[i]!,
      row.noise,
      store.x,
      store.output,
    ];
    table.set(values, i * TABLE_COLUMNS);
  });
  return table;
}

/** A fresh state: the first noise, scaled, in plane 0. noise [B, C, h, w] as PyTorch draws it. */
export function initialState(noise: Float32Array, shape: LatentShape, scale: number): Float32Array {
  const state = new Float32Array(STATE_PLANES * noise.length);
  state.set(channelsLast(noise, shape).map((value) => scale * value));
  return state;
}

/**
 * A fresh state from a picture's latents, noised as `start` says (`sampler.start`). Both [B, C, h, w].
 * What diffusers' add_noise gives.
 */
export function noisedState(
  image: Float32Array,
  noise: Float32Array,
  shape: LatentShape,
  start: Start,
): Float32Array {
  const mixed = noise.map((value, i) => start.image * image[i]! + start.noise * value);
  return initialState(mixed, shape, 1);
}

/** Draws the noise of a step for all pictures at once, as diffusers does with one generator: [B, h, w, C]. */
export type NoiseSource = () => Float32Array;

export function noiseSource(generator: Generator, shape: LatentShape): NoiseSource {
  const { batch, height, width, channels } = shape;
  return () => channelsLast(generator.randn(batch * channels * height * width), shape);
}

/** [B, C, h, w] -> [B, h, w, C]. */
function channelsLast(values: Float32Array, shape: LatentShape): Float32Array {
  const { batch, height, width, channels } = shape;
  const area = height * width;
  const moved = new Float32Array(values.length);
  for (let i = 0; i < batch * area; i++) {
    const [b, pixel] = [Math.floor(i / area), i % area];
    for (let c = 0; c < channels; c++) {
      moved[i * channels + c] = values[(b * channels + c) * area + pixel]!;
    }
  }
  return moved;
}

/** Plane 0 of a state as PyTorch lays latents out: [B, C, h, w]. */
export function latentsOf(state: ArrayLike<number>, shape: LatentShape): Float32Array {
  const { batch, height, width, channels } = shape;
  const area = height * width;
  const latents = new Float32Array(batch * channels * area);
  for (let i = 0; i < batch * area; i++) {
    const [b, pixel] = [Math.floor(i / area), i % area];
    for (let c = 0; c < channels; c++) {
      latents[(b * channels + c) * area + pixel] = state[i * channels + c]!;
    }
  }
  return latents;
}
