/** unary and binary in float64. */
import { broadcastShapes } from "../../engine/shape.ts";
import { generate, get, type Values } from "./values.ts";

const sigmoid = (x: number) => 1 / (1 + Math.exp(-x));

export const UNARY: Readonly<Record<string, (x: number, scalar: number) => number>> = {
  silu: (x) => x * sigmoid(x),
  gelu: (x) => (x / 2) * erfc(-x / Math.SQRT2),
  gelu_tanh: (x) => x * sigmoid(2 * Math.sqrt(2 / Math.PI) * (x + 0.044715 * x ** 3)),
  gelu_quick: (x) => x * sigmoid(1.702 * x),
  sigmoid,
  relu: (x) => Math.max(x, 0),
  scalar_add: (x, scalar) => x + scalar,
  scalar_sub: (x, scalar) => x - scalar,
  scalar_mul: (x, scalar) => x * scalar,
  scalar_div: (x, scalar) => x / scalar,
};

export const BINARY: Readonly<Record<string, (a: number, b: number) => number>> = {
  add: (a, b) => a + b,
  sub: (a, b) => a - b,
  mul: (a, b) => a * b,
  div: (a, b) => a / b,
};

export function unary(x: Values, fn: string, scalar = 0): Values {
  return { shape: x.shape, data: x.data.map((v) => UNARY[fn]!(v, scalar)) };
}

export function binary(a: Values, b: Values, fn: string): Values {
  const shape = broadcastShapes(fn, a.shape, b.shape);
  return generate(shape, (index) => BINARY[fn]!(getBroadcast(a, index), getBroadcast(b, index)));
}

export function getBroadcast(x: Values, index: readonly number[]): number {
  const own = index.slice(index.length - x.shape.length);
  return get(
    x,
    own.map((i, axis) => (x.shape[axis] === 1 ? 0 : i)),
  );
}

/** 1 - erf(z) to about 1e-11 of its value: the series with positive terms, and Laplace's fraction beyond 3. */
export function erfc(z: number): number {
  if (z < 0) return 2 - erfc(-z);
  const scale = Math.exp(-z * z) / Math.sqrt(Math.PI);
  if (z < 3) {
    let term = z;
    let sum = z;
    for (let n = 1; n < 100; n++) sum += term *= (2 * z * z) / (2 * n + 1);
    return 1 - 2 * scale * sum;
  }
  let fraction = z;
  for (let n = 100; n > 0; n--) fraction = z + n / 2 / fraction;
  return scale / fraction;
}
