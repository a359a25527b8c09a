/** Matrix product with epilogue: linear layers, 1x1 convolutions, batched products. */
import {
  EPILOGUE_LIB,
  EPILOGUE_OPERANDS,
  type Epilogue,
  epilogueConstants,
  epilogueDims,
} from "./epilogue.ts";
import type { Kernel } from "./kernel.ts";

export interface GemmParams extends Epilogue {
  readonly batch: number;
  readonly M: number;
  /** Columns of w: twice the result's when gated. */
  readonly N: number;
  readonly K: number;
  /** x: vec4s to the first element, from row to row, from batch to batch (0 shares it). */
  readonly xOffset: number;
  readonly xPitch: number;
  readonly xBatch: number;
  /** w: vec4s from batch to batch (0 shares it). */
  readonly wBatch: number;
  readonly gated: boolean;
}

// Eight columns a workgroup: a software adapter's subgroup, and a quarter of a GPU's.
const WIDTH = 8;
// Each weight that is loaded serves eight rows.
const ROWS = 8;
const MAX_GROUPS = 65_535;

export const gemm: Kernel<GemmParams> = {
  name: "gemm",
  operands: [
    { name: "x", access: "read" },
    { name: "w", access: "read" },
    ...EPILOGUE_OPERANDS,
    { name: "y", access: "write" },
  ],
  lib: ["lanes", ...EPILOGUE_LIB],
  constants: (p) => ({ WIDTH, ROWS, MAX_GROUPS, GATED: p.gated, ...epilogueConstants(p) }),
  dims: (p) => ({
    FOLDS: folds(p),
    M: p.M,
    N: p.N,
    K4: Math.ceil(p.K / 4),
    HALF: half(p),
    W_PITCH: Math.ceil(p.N / 4),
    W_BATCH: p.wBatch,
    X_OFFSET: p.xOffset,
    X_PITCH: p.xPitch,
    X_BATCH: p.xBatch,
    ...epilogueDims(p, p.gated ? half(p) : Math.ceil(p.N / 4)),
  }),
  workgroups: (p) => [
    Math.ceil(half(p) / WIDTH),
    Math.min(MAX_GROUPS, Math.ceil(p.M / ROWS)),
    p.batch * folds(p),
  ],
  flops: (p) => 2 * p.batch * p.M * p.N * p.K,
};

function half(p: GemmParams): number {
  return Math.ceil(Math.ceil(p.N / 4) / 2);
}

function folds(p: GemmParams): number {
  return Math.ceil(p.M / ROWS / MAX_GROUPS);
}
