/** Classifier-free guidance by one or several conditions, each step with a scale of its own. */
import { type Kernel, linearGrid } from "./kernel.ts";

/**
 * Values in a row of the table of a step: scale, x0's factors of x and of m, the scale to mimic or the share of
 * the way to a thresholded m; then the rescaling φ, the largest threshold, and the quantile's rank, whole and fraction.
 */
export const GUIDANCE_COLUMNS = 8;

/** The columns that hold a scale. */
export const SCALE_COLUMN = 0;
export const MIMIC_COLUMN = 3;

export interface HalvesParams {
  readonly batch: number;
  /** Pixels of one picture (each is one vec4). */
  readonly pixels: number;
  /** Halves of m beside the unconditional one. */
  readonly conditions: number;
  /** Whether each condition has a weight. */
  readonly weighted: boolean;
}

export interface GuidanceParams extends HalvesParams {
  /** The column of the scale to guide with. */
  readonly column: typeof SCALE_COLUMN | typeof MIMIC_COLUMN;
  /** Whether each picture has a factor. */
  readonly rescaled: boolean;
}

const WORKGROUP = 64;

export const guidance: Kernel<GuidanceParams> = {
  name: "guidance",
  operands: [
    { name: "m", access: "read" },
    { name: "weights", access: "read", optional: true },
    { name: "factors", access: "read", optional: true },
    { name: "table", access: "read" },
    { name: "step", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid", "guidance"],
  constants: ({ conditions, weighted, rescaled, column }) => ({
    WORKGROUP,
    CONDITIONS: conditions,
    WEIGHTED: weighted,
    RESCALED: rescaled,
    COLUMN: column,
  }),
  dims: ({ batch, pixels }) => ({ PLANE: batch * pixels, PICTURE: pixels }),
  workgroups: ({ batch, pixels }) => linearGrid(batch * pixels, WORKGROUP),
  flops: ({ batch, pixels, conditions }) => 4 * (3 * conditions + 3) * batch * pixels,
};
