/** Shapes, and how they lie in memory: rows of channels, each row padded to a multiple of four. */
import { shapeError } from "./errors.ts";

export type Shape = readonly number[];

export function numel(shape: Shape): number {
  return shape.reduce((product, size) => product * size, 1);
}

/** Size of the last axis (1 for a scalar). */
export function channels(shape: Shape): number {
  return shape.at(-1) ?? 1;
}

/** Product of all axes but the last. */
export function rows(shape: Shape): number {
  return numel(shape.slice(0, -1));
}

/** Array elements (vec4) in one row. */
export function pitch(shape: Shape): number {
  return Math.ceil(channels(shape) / 4);
}

/** Array elements (vec4) in the whole tensor. */
export function vectors(shape: Shape): number {
  return rows(shape) * pitch(shape);
}

/** Distance in scalars between neighbours along each axis, padding included. */
export function strides(shape: Shape): number[] {
  const out = new Array<number>(shape.length).fill(1);
  let step = 4 * pitch(shape);
  for (let axis = shape.length - 2; axis >= 0; axis--) {
    out[axis] = step;
    step *= shape[axis]!;
  }
  return out;
}

/** Distance in values between neighbours along each axis of a file's tensor, which has no padding. */
export function denseStrides(shape: Shape): number[] {
  return shape.map((_, axis) => numel(shape.slice(axis + 1)));
}

/** NumPy's rule: align at the last axis; sizes must agree or be 1. */
export function broadcastShapes(op: string, a: Shape, b: Shape): number[] {
  const rank = Math.max(a.length, b.length);
  return Array.from({ length: rank }, (_, axis) => {
    const x = a[axis - rank + a.length] ?? 1;
    const y = b[axis - rank + b.length] ?? 1;
    if (x !== y && x !== 1 && y !== 1) {
      throw shapeError(op, `[${a}] and [${b}] do not broadcast: axis ${axis} is ${x} against ${y}`);
    }
    return x === 1 ? y : x;
  });
}

/** -1 is the last axis. */
export function axisOf(op: string, dim: number, rank: number): number {
  const axis = dim < 0 ? dim + rank : dim;
  if (!Number.isInteger(dim) || axis < 0 || axis >= rank) {
    throw shapeError(op, `dim ${dim} is not an axis of a tensor with ${rank} axes`);
  }
  return axis;
}

export function sameShape(a: Shape, b: Shape): boolean {
  return a.length === b.length && a.every((size, axis) => size === b[axis]);
}
