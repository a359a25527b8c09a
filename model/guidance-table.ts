/** What guidance does at each step, as numbers: scales over the steps, and the table that the kernels read. */
import { DiffusionError } from "../engine/errors.ts";
import type { Clean } from "../sampler/index.ts";
import { GUIDANCE_COLUMNS } from "../shaders/guidance.ts";
import type { GuidanceShape, Thresholding } from "./limits.ts";

const SHAPES: Readonly<Record<GuidanceShape, (t: number) => number>> = {
  constant: () => 1,
  linear: (t) => t,
  cosine: (t) => (1 - Math.cos(Math.PI * t)) / 2,
};

export interface ScheduleOptions {
  /** The guidance scale: of every step, or at the end of a schedule that rises. */
  readonly scale: number;
  /** Guidance acts from this fraction of the steps (default 0) … */
  readonly start?: number | undefined;
  /** … to this one (default 1); outside the scale is 1: the condition alone. */
  readonly stop?: number | undefined;
  /** How the scale goes from `from` to `scale` while guidance acts (default constant), or each step's scale. */
  readonly schedule?: GuidanceShape | readonly number[] | undefined;
  /** Where a linear or cosine schedule starts (default 1). Above `scale` it falls. */
  readonly from?: number | undefined;
}

/**
 * The guidance scale of each step. Step i is guided where ⌊start·steps⌋ ≤ i < ⌊stop·steps⌋, as in diffusers'
 * guiders (Kynkäänniemi et al. 2024, "Applying Guidance in a Limited Interval"); rising schedules are those of
 * Wang et al. 2024, "Analysis of Classifier-Free Guidance Weight Schedulers".
 * Throws BAD_REQUEST for scales, fractions or a list that make no sense.
 */
export function guidanceSchedule(steps: number, options: ScheduleOptions): number[] {
  const { scale, start = 0, stop = 1, schedule = "constant", from = 1 } = options;
  checkInterval(start, stop);
  checkScales("guidance scale", [scale, from]);
  const [first, end] = [Math.floor(start * steps), Math.floor(stop * steps)];
  const scaleAt =
    typeof schedule === "string"
      ? curve(schedule, from, scale, first, end)
      : listed(schedule, steps);
  return Array.from({ length: steps }, (_, i) => (i >= first && i < end ? scaleAt(i) : 1));
}

function curve(name: GuidanceShape, from: number, to: number, first: number, end: number) {
  const shape = Object.hasOwn(SHAPES, name) ? SHAPES[name] : undefined;
  if (!shape) {
    throw bad(
      `guidance schedule ${JSON.stringify(name)} is unknown`,
      `There are ${Object.keys(SHAPES).join(", ")}, or a list with a scale for each step.`,
    );
  }
  // A single guided step is the last one.
  const fraction = (i: number) => (end - first > 1 ? (i - first) / (end - first - 1) : 1);
  return (i: number) => from + (to - from) * shape(fraction(i));
}

function listed(scales: readonly number[], steps: number) {
  if (scales.length !== steps) {
    throw bad(`guidance schedule has ${scales.length} scales for ${steps} steps`);
  }
  checkScales("guidance schedule", scales);
  return (i: number) => scales[i]!;
}

function checkInterval(start: number, stop: number): void {
  if (start >= 0 && start <= stop && stop <= 1) return;
  throw bad(
    `guidance interval ${start} to ${stop} is none`,
    "start and stop are fractions of the steps, 0 <= start <= stop <= 1.",
  );
}

function checkScales(what: string, scales: readonly number[]): void {
  const wrong = scales.find((scale) => !(Number.isFinite(scale) && scale >= 0));
  if (wrong !== undefined) throw bad(`${what} ${wrong} is not a number of at least 0`);
}

/** x0 = x·(the latents) + output·m: `clean` of a sampler's rows. */
export type CleanFactors = Clean;

export interface GuidanceTableOptions {
  /** A scale for each evaluation: `guidanceSchedule`. */
  readonly scales: readonly number[];
  /** φ of guidance rescale, 0..1 (default 0: none); Lin et al. recommend 0.7. */
  readonly rescale?: number | undefined;
  /** Each evaluation's x0; needed for thresholding only. */
  readonly clean?: readonly CleanFactors[] | undefined;
  readonly thresholding?: ThresholdingOptions | undefined;
}

export interface ThresholdingOptions {
  readonly kind: Thresholding;
  /**
   * The quantile, 0..1. `dynamic`: default 0.995, diffusers' `dynamic_thresholding_ratio`; `mimic`: default 1,
   * the extension's "threshold percentile".
   */
  readonly ratio?: number | undefined;
  /** `dynamic`: the threshold is never above this, at least 1 (default 1, diffusers' `sample_max_value`). */
  readonly maxValue?: number | undefined;
  /** `mimic`: the scale whose spread the pictures shall have (default 7, the extension's). */
  readonly scale?: number | undefined;
}

/**
 * The rows that the kernels of `guide` read (see shaders/guidance.ts), for pictures of `pixels` latent pixels.
 * Throws BAD_REQUEST for numbers out of range, and if thresholding is asked for without `clean`.
 */
export function guidanceTable(pixels: number, options: GuidanceTableOptions): Float32Array {
  const { scales, rescale = 0, clean, thresholding } = options;
  if (!(rescale >= 0 && rescale <= 1)) throw bad(`guidance rescale ${rescale} is not in 0..1`);
  if (thresholding && clean?.length !== scales.length) {
    throw bad(
      `thresholding wants x0 of ${scales.length} evaluations, got ${clean?.length ?? "none"}`,
    );
  }
  checkScales("guidance scale", scales);
  const [mimicked, most, below, weight] = thresholds(pixels, thresholding);
  const table = new Float32Array(scales.length * GUIDANCE_COLUMNS);
  scales.forEach((scale, i) => {
    const { x, output, change }: Clean = clean?.[i] ?? { x: 0, output: 0 };
    const fourth =
      thresholding?.kind === "dynamic"
        ? change === undefined
          ? 1
          : change * output
        : // Where nothing guides, nothing is to be drawn back.
          Math.min(mimicked, scale);
    table.set([scale, x, output, fourth, rescale, most, below, weight], i * GUIDANCE_COLUMNS);
  });
  return table;
}

function thresholds(pixels: number, options: ThresholdingOptions = { kind: "dynamic" }) {
  const { kind, maxValue = 1, scale = 7 } = options;
  const { ratio = kind === "dynamic" ? 0.995 : 1 } = options;
  if (!(ratio >= 0 && ratio <= 1)) throw bad(`thresholding ratio ${ratio} is not in 0..1`);
  if (!(maxValue >= 1 && maxValue <= MOST)) {
    throw bad(`thresholding maxValue ${maxValue} is not a number of at least 1`);
  }
  checkScales("scale to mimic", [scale]);
  return [scale, maxValue, ...rankOf(ratio, kind === "dynamic" ? 4 * pixels : pixels)] as const;
}

/** Far beyond any latent, and a float32. */
const MOST = 1e30;

/** The rank of a quantile among `count` values, whole and fraction, in torch.quantile's float32. */
function rankOf(ratio: number, count: number): [below: number, weight: number] {
  const rank = Math.fround(Math.fround(ratio) * (count - 1));
  return [Math.floor(rank), rank - Math.floor(rank)];
}

function bad(message: string, hint?: string): DiffusionError {
  return new DiffusionError("BAD_REQUEST", message, hint === undefined ? {} : { hint });
}
