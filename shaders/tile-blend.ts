/** The weighted sum of overlapping tiles on a canvas, a tile a run. */
import { type Kernel, linearGrid } from "./kernel.ts";
import { type TileParams, tileDims } from "./tile-cut.ts";

const WORKGROUP = 64;

export const tileBlend: Kernel<TileParams> = {
  name: "tile-blend",
  operands: [
    { name: "sum", access: "read" },
    { name: "m", access: "read" },
    { name: "place", access: "read" },
    { name: "rows", access: "read" },
    { name: "columns", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => tileDims(p, vectorsOf(p)),
  workgroups: (p) => linearGrid(vectorsOf(p), WORKGROUP),
  flops: (p) => 12 * vectorsOf(p),
};

function vectorsOf({ batch, height, width, channels }: TileParams): number {
  return batch * height * width * Math.ceil(channels / 4);
}
