/** Attention without a score matrix. */
import { type Kernel, linearGrid } from "./kernel.ts";

/** Where the rows of an operand lie, in vec4: it may be a slice of a wider tensor. */
export interface Rows {
  readonly offset: number;
  readonly pitch: number;
}

/** How the work is shared out; the result does not depend on it. */
export interface AttentionTile {
  /** Groups of threads in a workgroup, each with eight queries of its own. */
  readonly groups: number;
  /** Threads in a group: they share out the keys of a tile, then the channels. */
  readonly lanes: number;
  /** Keys that a thread scores before the maximum is taken. */
  readonly keys: number;
}

/** One subgroup of lavapipe a workgroup: long stretches between barriers, and 64 sums in flight. */
export const SOFTWARE_TILE: AttentionTile = { groups: 1, lanes: 8, keys: 8 };

/** 64 queries a workgroup read the same keys and values, so that all but the first find them in the cache. */
export const GPU_TILE: AttentionTile = { groups: 8, lanes: 8, keys: 4 };

export interface AttentionParams {
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  /** Channels of a head in q and k, and in v; multiples of 4 if there are several heads. */
  readonly d: number;
  readonly e: number;
  readonly scale: number;
  readonly causal: boolean;
  readonly q: Rows;
  readonly k: Rows;
  readonly v: Rows;
  readonly tile: AttentionTile;
}

const QUERIES = 8;

export const attention: Kernel<AttentionParams> = {
  name: "attention",
  operands: [
    { name: "q", access: "read" },
    { name: "k", access: "read" },
    { name: "v", access: "read" },
    { name: "y", access: "write" },
  ],
  constants: (p) => ({
    GROUPS: p.tile.groups,
    LANES: p.tile.lanes,
    KEYS: p.tile.keys,
    COLUMNS: Math.ceil(p.e / 4 / p.tile.lanes),
    CAUSAL: p.causal,
  }),
  dims: (p) => ({
    BLOCKS: blocks(p),
    BATCH: p.batch,
    HEADS: p.heads,
    DV: Math.ceil(p.d / 4),
    EV: Math.ceil(p.e / 4),
    N: p.queries,
    M: p.keys,
    // The kernel uses powers of two: exp(x) = exp2(x · log2 e).
    SCALE: { f32: p.scale * Math.LOG2E },
    Q_OFFSET: p.q.offset,
    Q_PITCH: p.q.pitch,
    K_OFFSET: p.k.offset,
    K_PITCH: p.k.pitch,
    V_OFFSET: p.v.offset,
    V_PITCH: p.v.pitch,
  }),
  workgroups: (p) => linearGrid(p.batch * p.heads * blocks(p), 1),
  flops: (p) => 2 * p.batch * p.heads * p.queries * p.keys * (p.d + p.e),
};

function blocks({ queries, tile }: AttentionParams): number {
  return Math.ceil(queries / (QUERIES * tile.groups));
}
