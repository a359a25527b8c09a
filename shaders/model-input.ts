/** Latents to the UNet's input: scaled, and repeated for classifier-free guidance. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface ModelInputParams {
  /** Pixels of all pictures' latents (each is one vec4). */
  readonly pixels: number;
  /** 2 with guidance, else 1. */
  readonly repeats: number;
}

const WORKGROUP = 64;

export const modelInput: Kernel<ModelInputParams> = {
  name: "model-input",
  operands: [
    { name: "state", access: "read" },
    { name: "table", access: "read" },
    { name: "step", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: (p) => ({ WORKGROUP, REPEATS: p.repeats }),
  dims: (p) => ({ PLANE: p.pixels }),
  workgroups: (p) => linearGrid(p.pixels * p.repeats, WORKGROUP),
  flops: (p) => 4 * p.pixels * p.repeats,
};
