/**
 * Guidance as a stage of its own between the UNet and the sampler's step, for what that step cannot do: several
 * conditions, rescaling, thresholding. A step that needs none of them does its guidance itself.
 */

import { shapeError } from "../engine/errors.ts";
import { custom, type Tensor, withScope } from "../engine/index.ts";
import { sameShape } from "../engine/shape.ts";
import {
  GUIDANCE_COLUMNS,
  guidance,
  type HalvesParams,
  MIMIC_COLUMN,
  SCALE_COLUMN,
} from "../shaders/guidance.ts";
import { guidanceClean, type PictureParams } from "../shaders/guidance-clean.ts";
import { guidanceQuantile } from "../shaders/guidance-quantile.ts";
import { guidanceRescale } from "../shaders/guidance-rescale.ts";
import { guidanceSpread } from "../shaders/guidance-spread.ts";
import { guidanceThreshold } from "../shaders/guidance-threshold.ts";
import type { Thresholding } from "./limits.ts";

export interface GuideOptions {
  /** [planes, B, h, w, 4] f32, of which plane 0 is the latents x (see sampler-step.wgsl). */
  readonly state: Tensor;
  /** [1] i32: the row of the table. */
  readonly step: Tensor;
  /** [evaluations, 8] f32: `guidanceTable`. */
  readonly table: Tensor;
  /** [conditions] f32; absent: every condition weighs 1. */
  readonly weights?: Tensor | undefined;
  /** Draw each picture's spread to that of its condition. */
  readonly rescale?: boolean | undefined;
  /** `dynamic`: diffusers' `thresholding`. `mimic`: the webui extension of the name. Default: none. */
  readonly thresholding?: Thresholding | undefined;
}

/**
 * m [(1 + n)·B, h, w, 4], unconditional half first -> the guided m [B, h, w, 4] f32 that a step of one half
 * takes: u + scale·Σ wᵢ·(cᵢ − u) (Ho & Salimans 2022, eq. 6; Liu et al. 2022, "Compositional Visual
 * Generation"), rescaled (Lin et al. 2023, section 3.4), with x0 thresholded (Saharia et al. 2022,
 * section 2.3): each only where asked for. An m of one half (n = 0) is not guided, only thresholded.
 * Throws SHAPE if the operands do not fit together.
 */
export function guide(m: Tensor, options: GuideOptions): Tensor {
  return withScope("guidance", () => {
    const halves = halvesOf(m, options);
    const alone = halves.conditions === 0;
    const guided = alone ? m : combine(m, halves, options, SCALE_COLUMN);
    if (options.thresholding === "dynamic") return dynamic(guided, halves, options);
    if (options.thresholding === "mimic" && !alone) return mimic(m, guided, halves, options);
    return guided;
  });
}

function halvesOf(m: Tensor, { state, step, table, weights }: GuideOptions): HalvesParams {
  const [, batch = 0, height = 0, width = 0, channels] = state.shape;
  const conditions = (m.shape[0] ?? 0) / batch - 1;
  if (state.shape.length !== 5 || channels !== 4) {
    throw shapeError("guide", `state is [${state.shape}], wanted [planes, B, h, w, 4]`);
  }
  if (
    !sameShape(m.shape.slice(1), [height, width, 4]) ||
    !(Number.isInteger(conditions) && conditions >= 0)
  ) {
    throw shapeError(
      "guide",
      `m is [${m.shape}], wanted [(1 + conditions)·${batch}, ${height}, ${width}, 4]`,
      "The first half is unconditional, where there is more than one.",
    );
  }
  if (
    !sameShape(step.shape, [1]) ||
    table.shape.length !== 2 ||
    table.shape[1] !== GUIDANCE_COLUMNS
  ) {
    throw shapeError(
      "guide",
      `step is [${step.shape}] and table [${table.shape}], wanted [1] and [evaluations, ${GUIDANCE_COLUMNS}]`,
    );
  }
  if (weights && !sameShape(weights.shape, [conditions])) {
    throw shapeError(
      "guide",
      `weights is [${weights.shape}], wanted [${conditions}]: one a condition`,
    );
  }
  return { batch, pixels: height * width, conditions, weighted: weights !== undefined };
}

function combine(
  m: Tensor,
  halves: HalvesParams,
  { step, table, weights, rescale = false }: GuideOptions,
  column: typeof SCALE_COLUMN | typeof MIMIC_COLUMN,
): Tensor {
  const shape = m.shape.with(0, halves.batch);
  const operands = { m, ...(weights && { weights }), table, step };
  const rescaled = rescale && column === SCALE_COLUMN;
  const factors = rescaled && {
    factors: custom(guidanceRescale, halves, operands, [halves.batch, 1], "f32"),
  };
  const params = { ...halves, column, rescaled };
  return custom(guidance, params, { ...operands, ...factors }, shape, "f32");
}

function dynamic(guided: Tensor, { batch, pixels }: PictureParams, options: GuideOptions): Tensor {
  const { state, table, step } = options;
  const x = cleanOf(guided, options);
  const quantile = { batch, pixels, groups: 1 } as const;
  const limits = custom(guidanceQuantile, quantile, { x, table, step }, [batch, 1], "f32");
  const operands = { state, guided, limits, table, step };
  const params = { batch, pixels, mimic: false };
  return custom(guidanceThreshold, params, operands, guided.shape, "f32");
}

function mimic(m: Tensor, guided: Tensor, halves: HalvesParams, options: GuideOptions): Tensor {
  const { state, table, step } = options;
  const { batch, pixels } = halves;
  const spreadOf = (x: Tensor) =>
    custom(guidanceSpread, { batch, pixels }, { x }, [batch, 4, 2], "f32");
  const x = cleanOf(guided, options);
  const own = spreadOf(x);
  const mimicked = spreadOf(cleanOf(combine(m, halves, options, MIMIC_COLUMN), options));
  const quantile = { batch, pixels, groups: 4 } as const;
  const ranked = { x, centres: own, table, step };
  const limits = custom(guidanceQuantile, quantile, ranked, [batch, 4, 1], "f32");
  const operands = { state, guided, limits, own, mimicked, table, step };
  const params = { batch, pixels, mimic: true };
  return custom(guidanceThreshold, params, operands, guided.shape, "f32");
}

/** x0 [B, h, w, 4] of a guided m. */
function cleanOf(guided: Tensor, { state, table, step }: GuideOptions): Tensor {
  const [batch, height, width] = guided.shape as [number, number, number, number];
  const params = { batch, pixels: height * width };
  return custom(guidanceClean, params, { state, guided, table, step }, guided.shape, "f32");
}
