/** The mean of each row. */
import type { Kernel } from "./kernel.ts";
import { type RowParams, rowDims, rowGrid, rowThreads } from "./row.ts";

export const mean: Kernel<RowParams> = {
  name: "mean",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid", "row"],
  constants: ({ channels }) => rowThreads(channels),
  dims: rowDims,
  workgroups: rowGrid,
  flops: ({ rows, channels }) => rows * channels,
};
