/**
 * Group normalisation in one dispatch, or in three: statistics of channels over chunks of rows, of groups, and
 * their use.
 */
import { type Grid, type Kernel, linearGrid, type OperandSpec } from "./kernel.ts";

export interface GroupNormParams {
  readonly batch: number;
  /** Positions of a picture. */
  readonly rows: number;
  readonly channels: number;
  readonly groups: number;
  readonly eps: number;
  readonly silu: boolean;
  /** Without weights the factor is one. */
  readonly weighted: boolean;
  /** Channels of x, a multiple of four, where the others are those of `beside`: then `both` gets them all. */
  readonly split?: number;
}

const WORKGROUP = 64;

/** A merge meets at barriers, and has some hundred numbers to merge. */
const MERGE_WORKGROUP = 32;

/** A group of ten thousand values or so: every thread has dozens, */
const WHOLE_WORKGROUP = 256;
/** and asks for so many vec4s before it needs the first. */
const IN_FLIGHT = 4;

/** Rows of a chunk: a thread's statistics cost two stores, so it should read many rows; */
const CHUNK = 32;
/** but a merge should not read more chunks than this (a multiple of rows in large pictures). */
const MAX_CHUNKS = 512;

/** Rows that a thread normalises with the factors that it has looked up. */
const APPLY_ROWS = 8;

/** Chunks in a picture, and the vec4 elements that their statistics take. */
export function groupNormChunks({ rows }: GroupNormParams): number {
  return Math.ceil(rows / chunkRows(rows));
}

function chunkRows(rows: number): number {
  return Math.max(CHUNK, Math.ceil(rows / MAX_CHUNKS));
}

function pitch({ channels }: GroupNormParams): number {
  return Math.ceil(channels / 4);
}

function dims(p: GroupNormParams) {
  return {
    BATCH: p.batch,
    ROWS: p.rows,
    CHANNELS: p.channels,
    PITCH: pitch(p),
    GROUPS: p.groups,
    GROUP: p.channels / p.groups,
    CHUNKS: groupNormChunks(p),
    CHUNK_ROWS: chunkRows(p.rows),
    SPLIT: (p.split ?? 0) / 4,
  };
}

/** Neighbouring groups that begin and end on vec4 borders. */
function groupsInSet({ channels, groups }: GroupNormParams): number {
  const size = channels / groups;
  return size % 4 === 0 ? 1 : size % 2 === 0 ? 2 : 4;
}

const JOINABLE: readonly OperandSpec[] = [
  { name: "x", access: "read" },
  { name: "beside", access: "read", optional: true },
];
const WEIGHTS: readonly OperandSpec[] = [
  { name: "weight", access: "read", optional: true },
  { name: "bias", access: "read", optional: true },
];
const RESULTS: readonly OperandSpec[] = [
  { name: "y", access: "write" },
  { name: "both", access: "write", optional: true },
];

export const groupNormStats: Kernel<GroupNormParams> = {
  name: "group-norm-stats",
  operands: [...JOINABLE, { name: "means", access: "write" }, { name: "squares", access: "write" }],
  lib: ["grid", "joined"],
  constants: (p) => ({ WORKGROUP, JOINED: p.split !== undefined }),
  dims,
  workgroups: (p) => linearGrid(p.batch * groupNormChunks(p) * pitch(p), WORKGROUP),
  flops: (p) => 4 * p.batch * p.rows * p.channels,
};

export const groupNormMerge: Kernel<GroupNormParams> = {
  name: "group-norm-merge",
  operands: [
    { name: "means", access: "read" },
    { name: "squares", access: "read" },
    { name: "moments", access: "write" },
  ],
  lib: ["row"],
  constants: () => ({ WORKGROUP: MERGE_WORKGROUP, LANES: MERGE_WORKGROUP }),
  dims: (p) => ({ ...dims(p), EPS: { f32: p.eps } }),
  workgroups: (p): Grid => linearGrid(p.batch * p.groups, 1),
  flops: (p) => 7 * p.batch * groupNormChunks(p) * p.channels,
};

/** All of it at once, for pictures of few positions. */
export const groupNorm: Kernel<GroupNormParams> = {
  name: "group-norm",
  operands: [...JOINABLE, ...WEIGHTS, ...RESULTS],
  lib: ["lanes", "activation", "joined", "total"],
  constants: (p) => ({
    WORKGROUP: WHOLE_WORKGROUP,
    IN_FLIGHT,
    SET: groupsInSet(p),
    SILU: p.silu,
    WEIGHTED: p.weighted,
    JOINED: p.split !== undefined,
  }),
  dims: (p) => {
    const width = (groupsInSet(p) * p.channels) / p.groups / 4;
    const lanes = Math.min(width, WHOLE_WORKGROUP);
    return {
      ...dims(p),
      SETS: Math.ceil(p.groups / groupsInSet(p)),
      WIDTH: width,
      LANES: lanes,
      LINES: Math.floor(WHOLE_WORKGROUP / lanes),
      EPS: { f32: p.eps },
    };
  },
  workgroups: (p): Grid => linearGrid(p.batch * Math.ceil(p.groups / groupsInSet(p)), 1),
  flops: (p) => (p.silu ? 12 : 8) * p.batch * p.rows * p.channels,
};

export interface MomentsJoinParams {
  /** Pictures times groups. */
  readonly moments: number;
  readonly eps: number;
}

/** Of two parts of a picture, one that lies in several storages. */
export const groupNormJoin: Kernel<MomentsJoinParams> = {
  name: "group-norm-join",
  operands: [
    { name: "a", access: "read" },
    { name: "b", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => ({ MOMENTS: p.moments, EPS: { f32: p.eps } }),
  workgroups: (p) => linearGrid(p.moments, WORKGROUP),
  flops: (p) => 14 * p.moments,
};

export const groupNormApply: Kernel<GroupNormParams> = {
  name: "group-norm-apply",
  operands: [...JOINABLE, { name: "moments", access: "read" }, ...WEIGHTS, ...RESULTS],
  lib: ["grid", "lanes", "activation", "joined"],
  constants: (p) => ({
    WORKGROUP,
    APPLY_ROWS,
    SILU: p.silu,
    WEIGHTED: p.weighted,
    JOINED: p.split !== undefined,
  }),
  dims: (p) => ({ ...dims(p), BLOCKS: Math.ceil(p.rows / APPLY_ROWS) }),
  workgroups: (p) => linearGrid(p.batch * Math.ceil(p.rows / APPLY_ROWS) * pitch(p), WORKGROUP),
  flops: (p) => (p.silu ? 7 : 3) * p.batch * p.rows * p.channels,
};
