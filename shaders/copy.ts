/** Strided gather: permute, slice, expand, pad and cast in one kernel. */
import { type Dims, type Kernel, linearGrid } from "./kernel.ts";

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
  constants: (p) => ({ WORKGROUP, AXES: rowAxes(p).length, ALIGNED: aligned(p) }),
  dims: (p) => {
    const last = p.shape.length - 1;
    return {
      VECTORS: vectors(p),
      PITCH: Math.ceil(p.shape[last]! / 4),
      CHANNELS: p.shape[last]!,
      STRIDE: { i32: p.stride[last]! },
      BEFORE: { i32: p.before[last]! },
      SOURCE: { i32: p.source[last]! },
      OFFSET: { i32: p.offset },
      VALUE: { f32: p.value },
      ...axisDims(rowAxes(p)),
    };
  },
  workgroups: (p) => linearGrid(vectors(p), WORKGROUP),
  flops: () => 0,
};

interface Axis {
  readonly size: number;
  readonly stride: number;
  readonly before: number;
  readonly source: number;
}

/** The axes in front of the last, innermost first, with neighbours that are walked alike merged into one. */
function rowAxes({ shape, stride, before, source }: CopyParams): Axis[] {
  const axes: Axis[] = [];
  for (let a = shape.length - 2; a >= 0; a--) {
    const outer = { size: shape[a]!, stride: stride[a]!, before: before[a]!, source: source[a]! };
    if (outer.size === 1 && isWhole(outer)) continue;
    const inner = axes.at(-1);
    if (inner && walkedAlike(inner, outer)) {
      const size = inner.size * outer.size;
      axes[axes.length - 1] = { ...inner, size, source: size };
    } else {
      axes.push(outer);
    }
  }
  return axes;
}

function walkedAlike(inner: Axis, outer: Axis): boolean {
  return isWhole(inner) && isWhole(outer) && outer.stride === inner.stride * inner.size;
}

function isWhole({ before, source, size }: Axis): boolean {
  return before === 0 && source === size;
}

/** As many as copy.wgsl spells out. */
const MAX_AXES = 5;

function axisDims(axes: readonly Axis[]): Dims {
  if (axes.length > MAX_AXES) throw new Error(`copy: more than ${MAX_AXES + 1} axes`);
  const dims = Array.from({ length: MAX_AXES }, (_, i) => {
    const { size, stride, before, source } = axes[i] ?? {
      size: 1,
      stride: 0,
      before: 0,
      source: 1,
    };
    return {
      [`SIZE_${i}`]: size,
      [`STRIDE_${i}`]: { i32: stride },
      [`BEFORE_${i}`]: { i32: before },
      [`SOURCE_${i}`]: { i32: source },
    };
  });
  return Object.assign({}, ...dims) as Dims;
}

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
