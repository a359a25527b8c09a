/** The mean of each row. */
import type { Kernel } from "./kernel.ts";
import { type RowParams, rowConstants, rowGrid } from "./row.ts";

export const mean: Kernel<RowParams> = {
  name: "mean",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid", "row"],
  constants: rowConstants,
  workgroups: rowGrid,
  flops: ({ rows, channels }) => rows * channels,
};
