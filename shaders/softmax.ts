/** Softmax of each row. */
import type { Kernel } from "./kernel.ts";
import { type RowParams, rowDims, rowGrid, rowThreads } from "./row.ts";

export const softmax: Kernel<RowParams> = {
  name: "softmax",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid", "lanes", "row"],
  constants: ({ channels }) => rowThreads(channels),
  dims: rowDims,
  workgroups: rowGrid,
  // The maximum, the difference, two exponentials, the sum and the quotient.
  flops: ({ rows, channels }) => 6 * rows * channels,
};
