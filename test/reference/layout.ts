/** The ops that move elements, on host values. */
import type { Shape } from "../../engine/shape.ts";
import { getBroadcast } from "./elementwise.ts";
import { generate, get, type Values } from "./values.ts";

export function reshape(x: Values, shape: Shape): Values {
  return { shape, data: x.data };
}

export function permute(x: Values, axes: readonly number[]): Values {
  const source = new Array<number>(axes.length).fill(0);
  return generate(
    axes.map((axis) => x.shape[axis]!),
    (index) => {
      axes.forEach((axis, i) => {
        source[axis] = index[i]!;
      });
      return get(x, source);
    },
  );
}

export function slice(x: Values, axis: number, start: number, size: number): Values {
  return generate(x.shape.with(axis, size), (index) =>
    get(x, index.with(axis, index[axis]! + start)),
  );
}

export function expand(x: Values, shape: Shape): Values {
  return generate(shape, (index) => getBroadcast(x, index));
}

export function pad(x: Values, shape: Shape, before: readonly number[], value: number): Values {
  return generate(shape, (index) => {
    const source = index.map((i, axis) => i - before[axis]!);
    const inside = source.every((i, axis) => i >= 0 && i < x.shape[axis]!);
    return inside ? get(x, source) : value;
  });
}

export function concat(a: Values, b: Values, axis: number): Values {
  const border = a.shape[axis]!;
  return generate(a.shape.with(axis, border + b.shape[axis]!), (index) => {
    const i = index[axis]!;
    return i < border ? get(a, index) : get(b, index.with(axis, i - border));
  });
}
