/** A picture in -1..1 to RGBA bytes, as a canvas and a PNG want them. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface ToRgbaParams {
  readonly pixels: number;
}

const WORKGROUP = 64;

export const toRgba: Kernel<ToRgbaParams> = {
  name: "to-rgba",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => ({ PIXELS: p.pixels }),
  workgroups: (p) => linearGrid(Math.ceil(p.pixels / 4), WORKGROUP),
  flops: (p) => 9 * p.pixels,
};
