/** Reductions and look-ups. */
import { shapeError } from "../errors.ts";
import { axisOf } from "../shape.ts";
import { createTensor, describe, type Tensor } from "../tensor.ts";
import { floating } from "./elementwise.ts";
import { labelOf } from "./linear.ts";

/** The mean over one axis, several, or all (no `dim`). keepdim leaves axes of size 1. Throws SHAPE for an axis that is not there. */
export function mean(x: Tensor, dim?: number | readonly number[], keepdim = false): Tensor {
  floating("mean", x);
  const list = dim === undefined ? x.shape.map((_, axis) => axis) : [dim].flat();
  const axes = [...new Set(list.map((d) => axisOf("mean", d as number, x.shape.length)))].sort(
    (a, b) => a - b,
  );
  const kept = x.shape.map((n, axis) => (axes.includes(axis) ? 1 : n));
  const shape = keepdim ? kept : kept.filter((_, axis) => !axes.includes(axis));
  return createTensor("mean", shape, x.dtype, { x }, { axes });
}

/**
 * Rows of a table. ids [...] of i32, weight [V, C] -> [..., C]. Ids outside 0..V-1 give rows of zeros.
 * Throws SHAPE if ids are not i32 or the table has not two axes.
 */
export function embedding(ids: Tensor, weight: Tensor): Tensor {
  if (ids.dtype !== "i32")
    throw shapeError("embedding", `${describe(ids, "ids")} of ${ids.dtype}, but ids must be i32`);
  if (weight.shape.length !== 2)
    throw shapeError(
      "embedding",
      `${describe(weight, "weight")}, but it must be [entries, channels]`,
    );
  const shape = [...ids.shape, weight.shape[1]!];
  return createTensor("embedding", shape, weight.dtype, { ids, weight }, {}, labelOf(weight));
}
