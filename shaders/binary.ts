/** Arithmetic on two tensors with NumPy's broadcasting. */
import { type Kernel, linearGrid } from "./kernel.ts";

/** The order is that of the cases in binary.wgsl. */
export const BINARY_FUNCTIONS = ["add", "sub", "mul", "div"] as const;

export interface BinaryParams {
  readonly fn: (typeof BINARY_FUNCTIONS)[number];
  /** All three of the same rank; a and b have 1 where they repeat. */
  readonly shape: readonly number[];
  readonly a: readonly number[];
  readonly b: readonly number[];
}

// Big enough to fill a subgroup anywhere, small enough for little tensors.
const WORKGROUP = 64;

export const binary: Kernel<BinaryParams> = {
  name: "binary",
  operands: [
    { name: "a", access: "read" },
    { name: "b", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid", "lanes"],
  constants: ({ fn, shape, a, b }) => ({
    WORKGROUP,
    AXES: rowAxes(shape, a, b).length,
    SPLAT_A: a.at(-1) !== shape.at(-1),
    SPLAT_B: b.at(-1) !== shape.at(-1),
    DIVIDE: fn === "div",
    FUNCTION: BINARY_FUNCTIONS.indexOf(fn),
  }),
  dims: ({ shape, a, b }) => ({
    VECTORS: vectors(shape),
    CHANNELS: shape.at(-1)!,
    PITCH: Math.ceil(shape.at(-1)! / 4),
    ...axisDims(rowAxes(shape, a, b)),
  }),
  workgroups: ({ shape }) => linearGrid(vectors(shape), WORKGROUP),
  flops: ({ shape }) => shape.reduce((n, size) => n * size, 1),
};

function vectors(shape: readonly number[]): number {
  return shape.slice(0, -1).reduce((n, size) => n * size, 1) * Math.ceil(shape.at(-1)! / 4);
}

/** SIZE_0, STRIDE_A_0, STRIDE_B_0 for the innermost axis, and so on. */
function axisDims(axes: readonly RowAxis[]): Record<string, number> {
  if (axes.length > MAX_AXES) throw new Error(`binary: more than ${MAX_AXES + 1} axes`);
  const inwards = axes.toReversed();
  const dims = Array.from({ length: MAX_AXES }, (_, i) => {
    const { size, a, b } = inwards[i] ?? { size: 1, a: 0, b: 0 };
    return { [`SIZE_${i}`]: size, [`STRIDE_A_${i}`]: a, [`STRIDE_B_${i}`]: b };
  });
  return Object.assign({}, ...dims) as Record<string, number>;
}

/** As many as binary.wgsl spells out. */
const MAX_AXES = 5;

interface RowAxis {
  readonly size: number;
  /** Rows between neighbours of a and b along this axis; 0 repeats. */
  readonly a: number;
  readonly b: number;
}

/**
 * The axes in front of the last, with neighbours that are walked alike merged into one: equal shapes
 * have one axis, a row added everywhere too.
 */
export function rowAxes(
  shape: readonly number[],
  a: readonly number[],
  b: readonly number[],
): RowAxis[] {
  const axes: RowAxis[] = [];
  let stepA = 1;
  let stepB = 1;
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    const size = shape[axis]!;
    const own = { size, a: a[axis] === 1 ? 0 : stepA, b: b[axis] === 1 ? 0 : stepB };
    stepA *= a[axis]!;
    stepB *= b[axis]!;
    if (size === 1) continue;
    const inner = axes[0];
    const merges = inner && own.a === inner.a * inner.size && own.b === inner.b * inner.size;
    if (merges) axes[0] = { size: size * inner.size, a: inner.a, b: inner.b };
    else axes.unshift(own);
  }
  return axes.length > 0 ? axes : [{ size: 1, a: 0, b: 0 }];
}
