/** Mean, and largest distance from it, of each channel of each picture. */
import type { PictureParams } from "./guidance-clean.ts";
import { type Kernel, linearGrid } from "./kernel.ts";

const WORKGROUP = 256;

export const guidanceSpread: Kernel<PictureParams> = {
  name: "guidance-spread",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["row"],
  constants: () => ({ WORKGROUP, LANES: WORKGROUP }),
  dims: ({ batch, pixels }) => ({ PICTURE: pixels, CHANNELS: 4 * batch, COUNT: { f32: pixels } }),
  workgroups: ({ batch }) => linearGrid(4 * batch, 1),
  flops: ({ batch, pixels }) => 24 * batch * pixels,
};
