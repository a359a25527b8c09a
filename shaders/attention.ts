/** Attention without a score matrix: the form for GPUs. */
import { type Dims, type Kernel, linearGrid, type OperandSpec } from "./kernel.ts";

/** Where the rows of an operand lie, in vec4: it may be a slice of a wider tensor. */
export interface Rows {
  readonly offset: number;
  readonly pitch: number;
}

export interface AttentionParams {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  /** Channels of a head in q and k, and in v (at most 128); multiples of 4 if there are several heads. */
  readonly d: number;
  readonly e: number;
  readonly scale: number;
  readonly causal: boolean;
  readonly q: Rows;
  readonly k: Rows;
  readonly v: Rows;
}

/**
 * Queries of a workgroup, largest first: one thread each. All share the keys and values that one tile brings into
 * workgroup memory, beside which the queries lie as f32.
 */
export const ATTENTION_QUERIES: readonly number[] = [64, 32];

/** Keys of a tile, and channels of a head in workgroup memory: what has more comes in chunks. */
const TILE = 16;
const CHUNK = 64;

export interface AttentionTiles extends AttentionParams {
  /** One of ATTENTION_QUERIES. */
  readonly block: number;
}

/** The largest block that the device's workgroup memory holds. */
export function attentionBlock(limits: { readonly maxWorkgroupStorage: number }): number {
  return attentionBlocks(limits)[0]!;
}

/** All blocks that it holds, largest first. */
export function attentionBlocks(limits: {
  readonly maxWorkgroupStorage: number;
}): readonly number[] {
  const bytes = (queries: number) => {
    const weights = TILE * queries;
    return 4 * (CHUNK * (queries + TILE) + weights + 4 * queries + queries);
  };
  const fitting = ATTENTION_QUERIES.filter(
    (queries) => bytes(queries) <= limits.maxWorkgroupStorage,
  );
  return fitting.length > 0 ? fitting : [ATTENTION_QUERIES.at(-1)!];
}

export const ATTENTION_OPERANDS: readonly OperandSpec[] = [
  { name: "q", access: "read" },
  { name: "k", access: "read" },
  { name: "v", access: "read" },
  { name: "y", access: "write" },
];

export const attention: Kernel<AttentionTiles> = {
  name: "attention",
  operands: ATTENTION_OPERANDS,
  constants: (p) => ({ QUERIES: p.block, CHUNKS: Math.ceil(p.e / CHUNK) }),
  dims: (p) => attentionDims(p, p.block),
  workgroups: (p) => linearGrid(p.batch * p.heads * Math.ceil(p.queries / p.block), 1),
  flops: attentionFlops,
};

/** The sizes that both forms read; `queries` is a workgroup's share. */
export function attentionDims(p: AttentionParams, queries: number): Dims {
  return {
    BLOCKS: Math.ceil(p.queries / queries),
    BATCH: p.batch,
    HEADS: p.heads,
    DV: Math.ceil(p.d / 4),
    EV: Math.ceil(p.e / 4),
    N: p.queries,
    M: p.keys,
    CAUSAL: p.causal ? 1 : 0,
    // The kernels use powers of two: exp(x) = exp2(x · log2 e).
    SCALE: { f32: p.scale * Math.LOG2E },
    Q_OFFSET: p.q.offset,
    Q_PITCH: p.q.pitch,
    K_OFFSET: p.k.offset,
    K_PITCH: p.k.pitch,
    V_OFFSET: p.v.offset,
    V_PITCH: p.v.pitch,
  };
}

export function attentionFlops(p: AttentionParams): number {
  return 2 * p.batch * p.heads * p.queries * p.keys * (p.d + p.e);
}
