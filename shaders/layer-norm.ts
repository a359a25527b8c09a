/** Layer normalisation of each row. */
import type { Kernel } from "./kernel.ts";
import { type RowParams, rowDims, rowGrid, rowThreads } from "./row.ts";

export interface LayerNormParams extends RowParams {
  readonly eps: number;
  /** Without weights the factor is one. */
  readonly weighted: boolean;
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
  constants: (p) => ({ ...rowThreads(p.channels), WEIGHTED: p.weighted }),
  dims: (p) => ({ ...rowDims(p), EPS: { f32: p.eps } }),
  workgroups: rowGrid,
  // The sum; the difference, its square and their sum; the difference, the factor, the weight and the bias.
  flops: ({ rows, channels }) => 8 * rows * channels,
};
