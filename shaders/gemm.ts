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
}

export const gemm: Kernel<GemmParams> = {
  name: "gemm",
  operands: [
    { name: "x", access: "read" },
    { name: "w", access: "read" },
    ...EPILOGUE_OPERANDS,
    { name: "y", access: "write" },
  ],
  lib: ["lanes", "tile", ...EPILOGUE_LIB],
  constants: (p) => ({ GATED: p.gated, ...tileConstants(p.tile), ...epilogueConstants(p) }),
  dims: (p) => ({
    ...tileDims(p, p.tile, p.batch),
    N: p.N,
    X_OFFSET: p.xOffset,
    X_PITCH: p.xPitch,
    X_BATCH: p.xBatch,
    W_BATCH: p.wBatch,
    ...epilogueDims(p, Math.ceil(p.N / (p.gated ? 8 : 4))),
  }),
  workgroups: (p) => tileGrid(p, p.tile, p.batch),
  flops: (p) => 2 * p.batch * p.M * p.N * p.K,
};
