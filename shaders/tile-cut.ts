/** A tile of a canvas: where it lies is known at run time, so that one plan serves all tiles. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface TileParams {
  readonly batch: number;
  /** Of the canvas. */
  readonly height: number;
  readonly width: number;
  /** Of a tile, which lies within the canvas. */
  readonly tile: { readonly height: number; readonly width: number };
  readonly channels: number;
}

const WORKGROUP = 64;

/** Sizes of canvas and tile, in vectors of four channels; a thread is one of `vectors`. */
export function tileDims(p: TileParams, vectors: number) {
  return {
    VECTORS: vectors,
    HEIGHT: p.height,
    WIDTH: p.width,
    TILE_HEIGHT: p.tile.height,
    TILE_WIDTH: p.tile.width,
    PITCH: Math.ceil(p.channels / 4),
  };
}

export const tileCut: Kernel<TileParams> = {
  name: "tile-cut",
  operands: [
    { name: "x", access: "read" },
    { name: "place", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => tileDims(p, vectorsOf(p)),
  workgroups: (p) => linearGrid(vectorsOf(p), WORKGROUP),
  flops: () => 0,
  // Only the tile is moved, not the canvas.
  bytes: (p) => 8 * vectorsOf(p) * 4,
};

function vectorsOf({ batch, tile, channels }: TileParams): number {
  return batch * tile.height * tile.width * Math.ceil(channels / 4);
}
