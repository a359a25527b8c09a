/** mean, softmax and embedding in float64. */
import { numel, type Shape } from "../../engine/shape.ts";
import { generate, get, type Values } from "./values.ts";

/** `axes` are sorted; the result has `shape` (with or without the axes of size 1). */
export function mean(x: Values, axes: readonly number[], shape: Shape): Values {
  const kept = x.shape.map((size, axis) => (axes.includes(axis) ? 1 : size));
  const sums = new Float64Array(numel(kept));
  const target = { shape: kept, data: sums };
  generate(x.shape, (index) => {
    const own = index.map((i, axis) => (axes.includes(axis) ? 0 : i));
    sums[offset(target, own)]! += get(x, index);
    return 0;
  });
  const count = numel(x.shape) / numel(kept);
  return { shape, data: sums.map((sum) => sum / count) };
}

export function softmax(x: Values, dim: number): Values {
  const shares = new Map<string, { top: number; sum: number }>();
  const lineOf = (index: readonly number[]) => index.with(dim, 0).join();
  generate(x.shape, (index) => {
    const value = get(x, index);
    const line = shares.get(lineOf(index)) ?? { top: Number.NEGATIVE_INFINITY, sum: 0 };
    const top = Math.max(line.top, value);
    shares.set(lineOf(index), {
      top,
      sum: line.sum * Math.exp(line.top - top) + Math.exp(value - top),
    });
    return 0;
  });
  return generate(x.shape, (index) => {
    const { top, sum } = shares.get(lineOf(index))!;
    return Math.exp(get(x, index) - top) / sum;
  });
}

export function embedding(ids: Values, weight: Values): Values {
  const [entries, width] = weight.shape as [number, number];
  return generate([...ids.shape, width], (index) => {
    const id = get(ids, index.slice(0, -1));
    return id >= 0 && id < entries ? get(weight, [id, index.at(-1)!]) : 0;
  });
}

function offset({ shape }: Values, index: readonly number[]): number {
  return index.reduce((sum, i, axis) => sum * shape[axis]! + i, 0);
}
