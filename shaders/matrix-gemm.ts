/** Matrix product with epilogue on matrix units: linear layers, 1x1 convolutions, batched products. */
import { type Epilogue, epilogueConstants, epilogueDims } from "./epilogue.ts";
import type { Kernel } from "./kernel.ts";
import {
  type MatrixTile,
  type MatrixUnit,
  matrixProduct,
  matrixTileConstants,
  matrixTileDims,
  matrixTileGrid,
  PANEL,
  type RightSide,
  rightDims,
} from "./matrix.ts";
import type { ProductSize } from "./tile.ts";

export interface MatrixGemmParams extends Epilogue, ProductSize {
  readonly unit: MatrixUnit;
  readonly tile: MatrixTile;
  /** x, in eights of halves: to the first element, from row to row, from batch to batch (0 shares it). */
  readonly xOffset: number;
  readonly xPitch: number;
  readonly xBatch: number;
  readonly right: RightSide;
  /** w: eights from batch to batch (0 shares it). */
  readonly wBatch: number;
}

/** x is f16 with K a multiple of 8, w f16; both must be whole in panels where w is not packed. */
export function matrixGemm({ dialect }: MatrixUnit): Kernel<MatrixGemmParams> {
  return {
    name: "matrix-gemm",
    ...matrixProduct(dialect),
    constants: (p) => ({
      GATED: p.gated,
      PACKED: p.right.packed,
      ...matrixTileConstants(p.tile, p.unit),
      ...epilogueConstants(p),
    }),
    dims: (p) => ({
      ...matrixTileDims(p, p.tile, p.batch, Math.ceil(p.K / PANEL)),
      ...rightDims(p.right),
      N: p.N,
      K8: p.K / 8,
      X_OFFSET: p.xOffset,
      X_PITCH: p.xPitch,
      X_BATCH: p.xBatch,
      W_BATCH: p.wBatch,
      ...epilogueDims(p, Math.ceil(p.N / (p.gated ? 8 : 4))),
    }),
    workgroups: (p) => matrixTileGrid(p, p.tile, p.batch),
    flops: (p) => 2 * p.batch * p.M * p.N * p.K,
  };
}
