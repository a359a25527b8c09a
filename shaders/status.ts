/** The first step that went wrong, out of the state that sampler-step keeps. */
import type { Kernel } from "./kernel.ts";
import { STATE_PLANES } from "./sampler-step.ts";

export interface StatusParams {
  /** Pixels of all latents, and of one picture's. */
  readonly pixels: number;
  readonly perPicture: number;
}

export const status: Kernel<StatusParams> = {
  name: "status",
  operands: [
    { name: "state", access: "read" },
    { name: "index", access: "read" },
    { name: "y", access: "write" },
  ],
  constants: () => ({ WORKGROUP: 64, BAD: STATE_PLANES - 1 }),
  dims: (p) => ({ PLANE: p.pixels, PICTURE: p.perPicture }),
  workgroups: () => [1, 1, 1],
  flops: () => 0,
};
