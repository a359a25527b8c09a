/** Guidance and one step of any linear solver on the latents, with the history that it keeps. */
import { type Kernel, linearGrid } from "./kernel.ts";
import type { ModelInputParams } from "./model-input.ts";

/** Planes of the state: x, kept, four slots, the first bad step (0: none, else 1 + its number). */
export const STATE_PLANES = 7;

/** Values in a row of the table of coefficients. */
export const TABLE_COLUMNS = 16;

const WORKGROUP = 64;

export const samplerStep: Kernel<ModelInputParams> = {
  name: "sampler-step",
  operands: [
    { name: "state", access: "read" },
    { name: "m", access: "read" },
    { name: "table", access: "read" },
    { name: "step", access: "read" },
    { name: "noise", access: "read", optional: true },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: (p) => ({ WORKGROUP, REPEATS: p.repeats }),
  dims: (p) => ({ PLANE: p.pixels }),
  workgroups: (p) => linearGrid(p.pixels, WORKGROUP),
  flops: (p) => 100 * p.pixels,
};
