/** What guidance does in a run, from a request and its sampler. */
import type { Sampler } from "../sampler/index.ts";
import type { LatentShape } from "./denoise.ts";
import { guidanceSchedule, guidanceTable } from "./guidance-table.ts";
import type { Thresholding } from "./limits.ts";
import type { ResolvedRequest } from "./request.ts";

/**
 * The scale of each evaluation; those of one step share one. At 1 or less there is no guidance, as in
 * diffusers: the condition alone.
 */
export function scalesOf(request: ResolvedRequest, { steps }: Sampler): number[] {
  const { guidanceScale: scale, guidanceStart: start, guidanceStop: stop } = request;
  const { guidanceSchedule: schedule, guidanceFrom: from } = request;
  const each = guidanceSchedule(1 + steps.at(-1)!, { scale, start, stop, schedule, from });
  return steps.map((step) => each[step]!);
}

/** What guidance is beside a scale: a stage of its own between the UNet and the sampler's step. */
export interface Stage {
  /** Whether conditions have weights of their own (`AND`). */
  readonly weighted: boolean;
  readonly rescale: boolean;
  readonly thresholding: Thresholding | undefined;
}

/** The stage of a request, or undefined where the sampler's step guides by itself. */
export function stageOf(
  { guidanceRescale, thresholding }: ResolvedRequest,
  halves: number,
  weighted: boolean,
): Stage | undefined {
  const stage = {
    weighted,
    rescale: halves > 1 && guidanceRescale > 0,
    // Without guidance there is nothing to mimic.
    thresholding: halves > 1 || thresholding === "dynamic" ? thresholding : undefined,
  };
  return stage.weighted || stage.rescale || stage.thresholding ? stage : undefined;
}

/** The table that the stage's kernels read. */
export function stageTable(
  request: ResolvedRequest,
  scales: readonly number[],
  { rows }: Sampler,
  { height, width }: LatentShape,
): Float32Array {
  const { thresholding: kind, thresholdingRatio: ratio, sampleMaxValue, mimicScale } = request;
  return guidanceTable(height * width, {
    ...{ scales, rescale: request.guidanceRescale, clean: rows.map(({ clean }) => clean) },
    ...(kind && { thresholding: { kind, ratio, maxValue: sampleMaxValue, scale: mimicScale } }),
  });
}
