/** The slices of a sum that was split, added up in their order, and its epilogue. */
import {
  EPILOGUE_LIB,
  EPILOGUE_OPERANDS,
  type Epilogue,
  epilogueConstants,
  epilogueDims,
} from "./epilogue.ts";
import { type Kernel, linearGrid } from "./kernel.ts";

export interface SplitKSumParams extends Epilogue {
  readonly slices: number;
  readonly M: number;
  readonly N: number;
}

const WORKGROUP = 64;

export const splitKSum: Kernel<SplitKSumParams> = {
  name: "split-k-sum",
  operands: [{ name: "x", access: "read" }, ...EPILOGUE_OPERANDS, { name: "y", access: "write" }],
  lib: ["grid", "lanes", ...EPILOGUE_LIB],
  constants: (p) => ({ WORKGROUP, ...epilogueConstants(p) }),
  dims: (p) => ({
    SLICES: p.slices,
    VECTORS: p.M * Math.ceil(p.N / 4),
    N: p.N,
    ...epilogueDims(p, Math.ceil(p.N / 4)),
  }),
  workgroups: (p) => linearGrid(p.M * Math.ceil(p.N / 4), WORKGROUP),
  flops: (p) => p.slices * p.M * p.N,
};
