/** Strided gather: permute, slice, expand, pad and cast in one kernel. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface CopyParams {
  /** Shape of the result. */
  readonly shape: readonly number[];
  /** Scalars between neighbours of the source along each axis of the result (0 repeats). */
  readonly stride: readonly number[];
  /** Scalar of the source at index 0. */
  readonly offset: number;
  /** Positions in front of the source's first, per axis; beyond `source` positions comes `value` again. */
  readonly before: readonly number[];
  readonly source: readonly number[];
  readonly value: number;
}

// Big enough to fill a subgroup anywhere, small enough for little tensors.
const WORKGROUP = 64;

export const copy: Kernel<CopyParams> = {
  name: "copy",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid", "lanes"],
  constants: (p) => ({
    WORKGROUP,
    VECTORS: vectors(p),
    PITCH: Math.ceil(p.shape.at(-1)! / 4),
    LAST: p.shape.length - 1,
    SHAPE: p.shape,
    STRIDE: { i32: p.stride },
    BEFORE: { i32: p.before },
    SOURCE: { i32: p.source },
    OFFSET: { i32: p.offset },
    VALUE: { f32: p.value },
    ALIGNED: aligned(p),
  }),
  workgroups: (p) => linearGrid(vectors(p), WORKGROUP),
  flops: () => 0,
};

function vectors(p: CopyParams): number {
  return p.shape.slice(0, -1).reduce((a, b) => a * b, 1) * Math.ceil(p.shape.at(-1)! / 4);
}

/** Whole vectors can be moved if the last axis is contiguous and every row starts on a vec4 border. */
function aligned(p: CopyParams): boolean {
  const last = p.shape.length - 1;
  return (
    p.stride[last] === 1 &&
    p.before[last] === 0 &&
    p.shape[last] === p.source[last] &&
    p.offset % 4 === 0 &&
    p.stride.slice(0, last).every((s) => s % 4 === 0)
  );
}
