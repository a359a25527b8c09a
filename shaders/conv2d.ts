/** Convolution of any kernel size, stride and padding, with epilogue. The form for GPUs. */
import {
  EPILOGUE_LIB,
  EPILOGUE_OPERANDS,
  type Epilogue,
  epilogueConstants,
  epilogueDims,
} from "./epilogue.ts";
import type { Kernel } from "./kernel.ts";
import { type ProductSize, type Tile, tileConstants, tileDims, tileGrid } from "./tile.ts";

export interface Conv2dParams extends Epilogue {
  readonly batch: number;
  /** x as it lies; the convolution sees it enlarged by nearest neighbours to inHeight x inWidth. */
  readonly sourceHeight: number;
  readonly sourceWidth: number;
  readonly inHeight: number;
  readonly inWidth: number;
  readonly inChannels: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly outChannels: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly top: number;
  readonly left: number;
}

export interface Conv2dTiles extends Conv2dParams {
  readonly tile: Tile;
  /** Of the sum; more than one leaves partial sums, [slices, …], to `split-k-sum`. */
  readonly slices: number;
}

export const conv2d: Kernel<Conv2dTiles> = {
  name: "conv2d",
  operands: [
    { name: "x", access: "read" },
    { name: "w", access: "read" },
    ...EPILOGUE_OPERANDS,
    { name: "y", access: "write" },
  ],
  lib: ["lanes", "tile", ...EPILOGUE_LIB],
  constants: (p) => ({ ...tileConstants(p.tile), ...epilogueConstants(p) }),
  dims: (p) => ({
    ...tileDims(sliceProduct(p), p.tile, p.slices),
    I4: Math.ceil(p.inChannels / 4),
    O: p.outChannels,
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
  }),
  workgroups: (p) => tileGrid(sliceProduct(p), p.tile, p.slices),
  flops: (p) => 2 * convProduct(p).M * p.outChannels * p.inChannels * p.kernel[0] * p.kernel[1],
};

/** The convolution as a matrix product: a row a pixel of the result, all taps' channels (in whole vec4s) summed up. */
export function convProduct(p: Conv2dParams): ProductSize {
  return {
    batch: 1,
    M: p.batch * p.outHeight * p.outWidth,
    N: p.outChannels,
    K: p.kernel[0] * p.kernel[1] * 4 * Math.ceil(p.inChannels / 4),
    gated: false,
  };
}

function sliceProduct(p: Conv2dTiles): ProductSize {
  const whole = convProduct(p);
  return { ...whole, K: whole.K / p.slices };
}
