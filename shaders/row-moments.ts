/** The moments of rows for a product that normalises them (`lib/row-moments`). */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface RowMomentsParams {
  readonly rows: number;
  readonly channels: number;
  /** x: vec4s to the first row, and from row to row. */
  readonly offset: number;
  readonly pitch: number;
}

/** Rows of 80 to 320 vec4s. */
const WORKGROUP = 64;

export const rowMoments: Kernel<RowMomentsParams> = {
  name: "row-moments",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["lanes", "total"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => ({ ROWS: p.rows, CHANNELS: p.channels, OFFSET: p.offset, PITCH: p.pitch }),
  workgroups: (p) => linearGrid(Math.ceil(p.rows / 4), 1),
  flops: (p) => 5 * p.rows * p.channels,
};
