/** Attention by one thread a query, without barriers: the form for software adapters. */
import {
  ATTENTION_OPERANDS,
  type AttentionParams,
  attentionDims,
  attentionFlops,
} from "./attention.ts";
import { type Kernel, linearGrid } from "./kernel.ts";

/** A subgroup of lavapipe. */
const WIDTH = 8;

const QUERIES = 4 * WIDTH;

/** vec4s of a head of v that a workgroup's 16 KiB hold sums for: one pipeline serves all sizes. */
const COLUMNS = 32;

export const attentionRows: Kernel<AttentionParams> = {
  name: "attention-rows",
  operands: ATTENTION_OPERANDS,
  constants: () => ({ WIDTH, COLUMNS }),
  dims: (p) => attentionDims(p, QUERIES),
  workgroups: (p) => linearGrid(p.batch * p.heads * Math.ceil(p.queries / QUERIES), 1),
  flops: attentionFlops,
};
