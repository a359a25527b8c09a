/** Matrix product and convolution on planes: the form for software adapters. */
import {
  EPILOGUE_LIB,
  EPILOGUE_OPERANDS,
  type Epilogue,
  epilogueConstants,
  epilogueDims,
} from "./epilogue.ts";
import type { Kernel } from "./kernel.ts";

export interface PlaneGemmParams extends Epilogue {
  readonly batch: number;
  readonly outHeight: number;
  readonly outWidth: number;
  /** Columns of w: twice the result's when gated. */
  readonly N: number;
  readonly kernelHeight: number;
  /** Planes of x to sum over: kernel width times channels, rounded up to fours. */
  readonly K: number;
  /** Rows of a plane, and of those the distance from one row of the result to the next. */
  readonly planeHeight: number;
  readonly strideHeight: number;
  /** vec4s of w from batch to batch (0 shares it). */
  readonly wBatch: number;
  readonly gated: boolean;
}

const WIDTH = 8;

export const planeGemm: Kernel<PlaneGemmParams> = {
  name: "plane-gemm",
  operands: [
    { name: "x", access: "read" },
    { name: "w", access: "read" },
    ...EPILOGUE_OPERANDS,
    { name: "y", access: "write" },
  ],
  lib: ["lanes", ...EPILOGUE_LIB],
  constants: (p) => ({ GATED: p.gated, ...epilogueConstants(p) }),
  dims(p) {
    const W4 = Math.ceil(p.outWidth / 4);
    const columns = Math.ceil(p.N / 4);
    return {
      W4,
      GROUPS: p.outHeight * W4,
      STEP: p.strideHeight * W4,
      PLANE: p.planeHeight * W4,
      X_BATCH: p.K * p.planeHeight * W4,
      W_BATCH: p.wBatch,
      KH: p.kernelHeight,
      K: p.K,
      M: p.outHeight * p.outWidth,
      N: p.N,
      OUT_W: p.outWidth,
      COLUMNS: columns,
      STORES: 32,
      ...epilogueDims(p, p.gated ? columns / 2 : columns),
    };
  },
  // Neighbouring workgroups share columns of w: a strip of it stays in a core's cache.
  workgroups: (p) => [
    Math.ceil((p.outHeight * Math.ceil(p.outWidth / 4)) / 2),
    Math.ceil(Math.ceil(p.N / 16) / WIDTH),
    p.batch,
  ],
  flops: (p) => 2 * p.batch * p.outHeight * p.outWidth * p.N * p.K * p.kernelHeight,
};
