/** Ops that move elements and compute nothing. */
import { shapeError } from "../errors.ts";
import { axisOf, numel, type Shape } from "../shape.ts";
import { createTensor, type Tensor } from "../tensor.ts";

/** The same elements in row-major order under another shape; one size may be -1. Throws SHAPE if the counts differ. */
export function reshape(x: Tensor, shape: Shape): Tensor {
  const known = shape.reduce((product, size) => (size === -1 ? product : product * size), 1);
  const wanted = shape.map((size) => (size === -1 ? numel(x.shape) / known : size));
  if (shape.filter((size) => size === -1).length > 1 || numel(wanted) !== numel(x.shape)) {
    throw shapeError(
      "reshape",
      `x is [${x.shape}] with ${numel(x.shape)} elements, which do not fit [${shape}]`,
    );
  }
  return createTensor("reshape", wanted, x.dtype, { x });
}

/** Axis i of the result is axis dims[i] of x. Throws SHAPE if dims is not a permutation. */
export function permute(x: Tensor, dims: readonly number[]): Tensor {
  const axes = dims.map((dim) => axisOf("permute", dim, x.shape.length));
  if (axes.length !== x.shape.length || new Set(axes).size !== axes.length) {
    throw shapeError(
      "permute",
      `[${dims}] is not a permutation of the ${x.shape.length} axes of [${x.shape}]`,
    );
  }
  return createTensor(
    "permute",
    axes.map((axis) => x.shape[axis]!),
    x.dtype,
    { x },
    { axes },
  );
}

/** Two axes exchanged. Throws SHAPE for an axis that is not there. */
export function transpose(x: Tensor, dim0: number, dim1: number): Tensor {
  const axes = x.shape.map((_, axis) => axis);
  const a = axisOf("transpose", dim0, axes.length);
  const b = axisOf("transpose", dim1, axes.length);
  axes[a] = b;
  axes[b] = a;
  return permute(x, axes);
}

/** Elements start..end-1 along `dim` (negative counts from the end). Throws SHAPE for an empty or outside range. */
export function slice(
  x: Tensor,
  dim: number,
  start: number,
  end: number = Number.MAX_SAFE_INTEGER,
): Tensor {
  const axis = axisOf("slice", dim, x.shape.length);
  const size = x.shape[axis]!;
  const from = start < 0 ? start + size : start;
  const to = Math.min(end < 0 ? end + size : end, size);
  if (!Number.isInteger(from) || from < 0 || to <= from) {
    throw shapeError(
      "slice",
      `[${start}, ${end}) along axis ${axis} of [${x.shape}] is empty or outside`,
    );
  }
  const shape = x.shape.with(axis, to - from);
  return createTensor("slice", shape, x.dtype, { x }, { axis, start: from });
}

/** Cuts x along `dim` into pieces of a size (the last may be smaller) or of the sizes listed. Throws SHAPE if they do not add up. */
export function split(x: Tensor, sizes: number | readonly number[], dim = 0): Tensor[] {
  const axis = axisOf("split", dim, x.shape.length);
  const total = x.shape[axis]!;
  const pieces = typeof sizes === "number" ? evenPieces(total, sizes) : [...sizes];
  if (pieces.some((n) => !(n >= 1)) || pieces.reduce((a, b) => a + b, 0) !== total) {
    throw shapeError("split", `pieces [${pieces}] do not add up to axis ${axis} of [${x.shape}]`);
  }
  const starts = pieces.map((_, i) => pieces.slice(0, i).reduce((a, b) => a + b, 0));
  return pieces.map((n, i) => slice(x, axis, starts[i]!, starts[i]! + n));
}

function evenPieces(total: number, size: number): number[] {
  const count = Math.ceil(total / size);
  return Array.from({ length: Number.isFinite(count) ? count : 0 }, (_, i) =>
    Math.min(size, total - i * size),
  );
}

/** Tensors joined along `dim`. Throws SHAPE if another axis or the dtype differs. */
export function concat(tensors: readonly Tensor[], dim = 0): Tensor {
  const [first, ...rest] = tensors;
  if (!first) throw shapeError("concat", "no tensors given");
  const axis = axisOf("concat", dim, first.shape.length);
  return rest.reduce((a, b) => {
    const fits =
      a.shape.length === b.shape.length && a.shape.every((n, i) => i === axis || n === b.shape[i]);
    if (!fits || a.dtype !== b.dtype) {
      throw shapeError(
        "concat",
        `[${a.shape}] ${a.dtype} and [${b.shape}] ${b.dtype} differ outside axis ${axis}`,
      );
    }
    const shape = a.shape.with(axis, a.shape[axis]! + b.shape[axis]!);
    return createTensor("concat", shape, a.dtype, { a, b }, { axis });
  }, first);
}

/** PyTorch's other name for `concat`. */
export const cat = concat;

/** x repeated along axes of size 1 (NumPy's broadcast_to). Throws SHAPE if it does not broadcast. */
export function expand(x: Tensor, shape: Shape): Tensor {
  const lead = shape.length - x.shape.length;
  const fits = lead >= 0 && x.shape.every((n, i) => n === 1 || n === shape[lead + i]);
  if (!fits) throw shapeError("expand", `[${x.shape}] does not broadcast to [${shape}]`);
  return createTensor("expand", shape, x.dtype, { x });
}

/**
 * x with `value` around it. `padding` is PyTorch's list: [before, after] of the last axis, then of the
 * one before it, and so on. Throws SHAPE for negative or too many entries.
 */
export function pad(x: Tensor, padding: readonly number[], value = 0): Tensor {
  const rank = x.shape.length;
  if (
    padding.length % 2 !== 0 ||
    padding.length > 2 * rank ||
    padding.some((p) => !Number.isInteger(p) || p < 0)
  ) {
    throw shapeError(
      "pad",
      `[${padding}] must be pairs of whole numbers of at least 0 for the last axes of [${x.shape}]`,
    );
  }
  const before = x.shape.map((_, axis) => padding[2 * (rank - 1 - axis)] ?? 0);
  const after = x.shape.map((_, axis) => padding[2 * (rank - 1 - axis) + 1] ?? 0);
  const shape = x.shape.map((n, axis) => before[axis]! + n + after[axis]!);
  return createTensor("pad", shape, x.dtype, { x }, { before, value });
}
