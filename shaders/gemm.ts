/** Matrix product with epilogue: linear layers, 1x1 convolutions, batched products. The form for GPUs. */
import {
  EPILOGUE_LIB,
  EPILOGUE_OPERANDS,
  type Epilogue,
  epilogueConstants,
  epilogueDims,
} from "./epilogue.ts";
import type { Kernel } from "./kernel.ts";
import { type ProductSize, type Tile, tileConstants, tileDims, tileGrid } from "./tile.ts";

export interface GemmParams extends Epilogue, ProductSize {
  /** x: vec4s to the first element, from row to row, from batch to batch (0 shares it). */
  readonly xOffset: number;
  readonly xPitch: number;
  readonly xBatch: number;
  /** w: vec4s from batch to batch (0 shares it). N is twice the result's columns when gated. */
  readonly wBatch: number;
  readonly tile: Tile;
  /** The rows of x are normalised, by moments that lie in pieces (`lib/row-moments`); only in a batch of one. */
  readonly norm?: RowNorm | undefined;
  /** The moments of the rows of y are left, a piece a tile; only in a batch of one, ungated. */
  readonly measured?: boolean;
}

export interface RowNorm {
  readonly eps: number;
  readonly pieces: number;
  /** vec4s of a piece. */
  readonly width: number;
}

/** Whether the panel has room for the moments that the threads of a tile find. */
export function tileMeasures(tile: Tile): boolean {
  return tile.quads <= 2;
}

export const gemm: Kernel<GemmParams> = {
  name: "gemm",
  operands: [
    { name: "x", access: "read" },
    { name: "w", access: "read" },
    ...EPILOGUE_OPERANDS,
    { name: "moments", access: "read", optional: true },
    { name: "y", access: "write" },
    { name: "rowMoments", access: "write", optional: true },
  ],
  lib: ["lanes", "tile", "row-moments", ...EPILOGUE_LIB],
  constants: (p) => ({
    GATED: p.gated,
    NORMED: p.norm !== undefined,
    MEASURED: p.measured ?? false,
    ...tileConstants(p.tile),
    ...epilogueConstants(p),
  }),
  dims: (p) => ({
    ...tileDims(p, p.tile, p.batch),
    N: p.N,
    X_OFFSET: p.xOffset,
    X_PITCH: p.xPitch,
    X_BATCH: p.xBatch,
    W_BATCH: p.wBatch,
    NORM_PIECES: p.norm?.pieces ?? 0,
    NORM_WIDTH: p.norm?.width ?? 0,
    NORM_CHANNELS: p.K,
    NORM_EPS: { f32: p.norm?.eps ?? 0 },
    ...epilogueDims(p, Math.ceil(p.N / (p.gated ? 8 : 4))),
  }),
  workgroups: (p) => tileGrid(p, p.tile, p.batch),
  flops: (p) => 2 * p.batch * p.M * p.N * p.K,
};
