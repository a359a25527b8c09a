/** The quantile of |x| over each picture, or over each of its channels, exactly. */
import type { PictureParams } from "./guidance-clean.ts";
import { type Kernel, linearGrid } from "./kernel.ts";

export interface QuantileParams extends PictureParams {
  /** 1: all of a picture together; 4: each channel, around its centre. */
  readonly groups: 1 | 4;
}

/** As many threads as a byte has values: each empties one counter. */
const WORKGROUP = 256;

export const guidanceQuantile: Kernel<QuantileParams> = {
  name: "guidance-quantile",
  operands: [
    { name: "x", access: "read" },
    { name: "centres", access: "read", optional: true },
    { name: "table", access: "read" },
    { name: "step", access: "read" },
    { name: "y", access: "write" },
  ],
  constants: ({ groups }) => ({ WORKGROUP, GROUPS: groups }),
  dims: ({ batch, pixels, groups }) => ({
    PICTURE: 4 * pixels,
    COUNT: (4 * pixels) / groups,
    TOTAL: batch * groups,
  }),
  workgroups: ({ batch, groups }) => linearGrid(batch * groups, 1),
  flops: ({ batch, pixels }) => 5 * 4 * batch * pixels,
  bytes: ({ batch, pixels }) => 5 * 16 * batch * pixels,
};
