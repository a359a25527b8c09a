/** The clean picture x0 that a guided model output implies. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface PictureParams {
  readonly batch: number;
  /** Pixels of one picture (each is one vec4). */
  readonly pixels: number;
}

const WORKGROUP = 64;

export const guidanceClean: Kernel<PictureParams> = {
  name: "guidance-clean",
  operands: [
    { name: "state", access: "read" },
    { name: "guided", access: "read" },
    { name: "table", access: "read" },
    { name: "step", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims: ({ batch, pixels }) => ({ PLANE: batch * pixels }),
  workgroups: ({ batch, pixels }) => linearGrid(batch * pixels, WORKGROUP),
  flops: ({ batch, pixels }) => 12 * batch * pixels,
};
