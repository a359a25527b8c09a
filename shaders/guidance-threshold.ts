/** The model output whose clean picture is drawn into a range: dynamic thresholding, plain or mimicking. */
import type { PictureParams } from "./guidance-clean.ts";
import { type Kernel, linearGrid } from "./kernel.ts";

export interface ThresholdParams extends PictureParams {
  /** Each channel around its mean, to the spread at another scale; else each picture to [-1, 1]. */
  readonly mimic: boolean;
}

const WORKGROUP = 64;

export const guidanceThreshold: Kernel<ThresholdParams> = {
  name: "guidance-threshold",
  operands: [
    { name: "state", access: "read" },
    { name: "guided", access: "read" },
    { name: "limits", access: "read" },
    { name: "own", access: "read", optional: true },
    { name: "mimicked", access: "read", optional: true },
    { name: "table", access: "read" },
    { name: "step", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: ({ mimic }) => ({ WORKGROUP, MIMIC: mimic }),
  dims: ({ batch, pixels }) => ({ PLANE: batch * pixels, PICTURE: pixels }),
  workgroups: ({ batch, pixels }) => linearGrid(batch * pixels, WORKGROUP),
  flops: ({ batch, pixels }) => 40 * batch * pixels,
};
