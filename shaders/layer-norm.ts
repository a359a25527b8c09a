/** Layer normalisation of each row. */
import { type Kernel, linearGrid } from "./kernel.ts";
import { type RowParams, rowDims, rowThreads } from "./row.ts";

export interface LayerNormParams extends RowParams {
  readonly eps: number;
  /** Without weights the factor is one. */
  readonly weighted: boolean;
  /** One thread a row: on a software adapter barriers cost more than anything else here. */
  readonly alone: boolean;
}

/** A subgroup of lavapipe. */
const ALONE = { WORKGROUP: 8, LANES: 1 };

function threads({ alone, channels }: LayerNormParams): { WORKGROUP: number; LANES: number } {
  return alone ? ALONE : rowThreads(channels);
}

export const layerNorm: Kernel<LayerNormParams> = {
  name: "layer-norm",
  operands: [
    { name: "x", access: "read" },
    { name: "weight", access: "read", optional: true },
    { name: "bias", access: "read", optional: true },
    { name: "y", access: "write" },
  ],
  lib: ["grid", "lanes", "row"],
  constants: (p) => ({ ...threads(p), WEIGHTED: p.weighted }),
  dims: (p) => ({ ...rowDims(p), EPS: { f32: p.eps } }),
  workgroups: (p) => {
    const { WORKGROUP, LANES } = threads(p);
    return linearGrid(p.rows * LANES, WORKGROUP);
  },
  // The sum; the difference, its square and their sum; the difference, the factor, the weight and the bias.
  flops: ({ rows, channels }) => 8 * rows * channels,
};
