/** The factor of each picture by which guidance is rescaled to the spread of its conditional half. */
import type { HalvesParams } from "./guidance.ts";
import { type Kernel, linearGrid } from "./kernel.ts";

// WebGPU's default limit: a picture is one workgroup's work, which walks over it three times.
const WORKGROUP = 256;

export const guidanceRescale: Kernel<HalvesParams> = {
  name: "guidance-rescale",
  operands: [
    { name: "m", access: "read" },
    { name: "weights", access: "read", optional: true },
    { name: "table", access: "read" },
    { name: "step", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["row", "guidance"],
  constants: ({ conditions, weighted }) => ({
    WORKGROUP,
    LANES: WORKGROUP,
    CONDITIONS: conditions,
    WEIGHTED: weighted,
  }),
  dims: ({ batch, pixels }) => ({ PLANE: batch * pixels, PICTURE: pixels, BATCH: batch }),
  workgroups: ({ batch }) => linearGrid(batch, 1),
  flops: ({ batch, pixels, conditions }) => 4 * 3 * (3 * conditions + 7) * batch * pixels,
};
