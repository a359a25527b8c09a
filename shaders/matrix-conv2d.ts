/** Convolution of any kernel size, stride and padding, with epilogue, on matrix units. */
import { type Conv2dParams, convProduct } from "./conv2d.ts";
import { epilogueConstants, epilogueDims } from "./epilogue.ts";
import type { Kernel } from "./kernel.ts";
import {
  type MatrixTile,
  type MatrixUnit,
  matrixProduct,
  matrixTileConstants,
  matrixTileDims,
  matrixTileGrid,
  PANEL,
  packedRight,
  rightDims,
} from "./matrix.ts";
import type { ProductSize } from "./tile.ts";

export interface MatrixConv2dParams extends Conv2dParams {
  readonly unit: MatrixUnit;
  readonly tile: MatrixTile;
  /** Of the sum; more than one leaves partial sums, [slices, …], to `split-k-sum`. */
  readonly slices: number;
}

/** x is f16 with a multiple of 8 channels, w f16 and packed. */
export function matrixConv2d({ dialect }: MatrixUnit): Kernel<MatrixConv2dParams> {
  return {
    name: "matrix-conv2d",
    ...matrixProduct(dialect),
    constants: (p) => ({
      PACKED: true,
      ...matrixTileConstants(p.tile, p.unit),
      ...epilogueConstants(p),
    }),
    dims,
    workgroups: (p) => matrixTileGrid(matrixConvProduct(p), p.tile, p.slices),
    flops: (p) => 2 * convProduct(p).M * p.outChannels * p.inChannels * p.kernel[0] * p.kernel[1],
  };
}

function dims(p: MatrixConv2dParams) {
  const product = matrixConvProduct(p);
  return {
    ...matrixTileDims(product, p.tile, p.slices, product.K / PANEL / p.slices),
    ...rightDims(packedRight(p.unit, product.K, product.N)),
    I8: p.inChannels / 8,
    O: p.outChannels,
    KH: p.kernel[0],
    KW: p.kernel[1],
    STRIDE_H: p.stride[0],
    STRIDE_W: p.stride[1],
    TOP: { i32: p.top },
    LEFT: { i32: p.left },
    SOURCE_H: p.sourceHeight,
    SOURCE_W: p.sourceWidth,
    IN_H: p.inHeight,
    IN_W: p.inWidth,
    OUT_H: p.outHeight,
    OUT_W: p.outWidth,
    ...epilogueDims(p, Math.ceil(p.outChannels / 4)),
  };
}

/** As `convProduct`, with each tap's channels in whole panels. */
export function matrixConvProduct(p: Conv2dParams): ProductSize {
  const K = p.kernel[0] * p.kernel[1] * PANEL * Math.ceil(p.inChannels / PANEL);
  return { ...convProduct(p), K };
}
