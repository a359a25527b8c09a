/** Convolution of any kernel size, stride and padding, with epilogue. */
import {
  EPILOGUE_LIB,
  EPILOGUE_OPERANDS,
  type Epilogue,
  epilogueConstants,
  epilogueDims,
} from "./epilogue.ts";
import type { Kernel } from "./kernel.ts";

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

// As in gemm: eight columns a workgroup, and each weight that is loaded serves eight pixels.
const WIDTH = 8;
const ROWS = 8;
const MAX_GROUPS = 65_535;

export const conv2d: Kernel<Conv2dParams> = {
  name: "conv2d",
  operands: [
    { name: "x", access: "read" },
    { name: "w", access: "read" },
    ...EPILOGUE_OPERANDS,
    { name: "y", access: "write" },
  ],
  lib: ["lanes", ...EPILOGUE_LIB],
  constants: (p) => ({ WIDTH, ROWS, MAX_GROUPS, ...epilogueConstants(p) }),
  dims: (p) => ({
    M: pixels(p),
    HALF: half(p),
    I4: Math.ceil(p.inChannels / 4),
    O: p.outChannels,
    KH: p.kernel[0],
    KW: p.kernel[1],
    STRIDE_H: p.stride[0],
    STRIDE_W: p.stride[1],
    TOP: { i32: p.top },
    LEFT: { i32: p.left },
    SOURCE_H: p.sourceHeight,
    SOURCE_W: p.sourceWidth,
    IN_H: { i32: p.inHeight },
    IN_W: { i32: p.inWidth },
    OUT_H: p.outHeight,
    OUT_W: p.outWidth,
    ...epilogueDims(p, Math.ceil(p.outChannels / 4)),
  }),
  workgroups(p) {
    const groups = Math.ceil(pixels(p) / ROWS);
    return [
      Math.ceil(half(p) / WIDTH),
      Math.min(groups, MAX_GROUPS),
      Math.ceil(groups / MAX_GROUPS),
    ];
  },
  flops: (p) => 2 * pixels(p) * p.outChannels * p.inChannels * p.kernel[0] * p.kernel[1],
};

function pixels(p: Conv2dParams): number {
  return p.batch * p.outHeight * p.outWidth;
}

function half(p: Conv2dParams): number {
  return Math.ceil(Math.ceil(p.outChannels / 4) / 2);
}
