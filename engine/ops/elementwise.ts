/** Ops that treat every element alike, with NumPy's broadcasting where there are two operands. */
import type { DType } from "../dtype.ts";
import { shapeError } from "../errors.ts";
import { broadcastShapes } from "../shape.ts";
import { createTensor, describe, type Tensor } from "../tensor.ts";

export type BinaryFunction = "add" | "sub" | "mul" | "div";
export type UnaryFunction = "silu" | "gelu" | "gelu_tanh" | "gelu_quick" | "sigmoid" | "relu";

/** a + b with broadcasting, in the dtype of a. Throws SHAPE if the shapes do not broadcast. */
export const add = (a: Tensor, b: Tensor | number): Tensor => binary("add", a, b);

/** a - b with broadcasting, in the dtype of a. Throws SHAPE if the shapes do not broadcast. */
export const sub = (a: Tensor, b: Tensor | number): Tensor => binary("sub", a, b);

/** a · b with broadcasting, in the dtype of a. Throws SHAPE if the shapes do not broadcast. */
export const mul = (a: Tensor, b: Tensor | number): Tensor => binary("mul", a, b);

/** a / b with broadcasting, in the dtype of a. Throws SHAPE if the shapes do not broadcast. */
export const div = (a: Tensor, b: Tensor | number): Tensor => binary("div", a, b);

/** x · sigmoid(x), also called swish (Elfwing et al. 2017). */
export const silu = (x: Tensor): Tensor => unary("silu", x);

/** 1 / (1 + exp(-x)). */
export const sigmoid = (x: Tensor): Tensor => unary("sigmoid", x);

/** max(x, 0). */
export const relu = (x: Tensor): Tensor => unary("relu", x);

/**
 * x · Φ(x) (Hendrycks and Gimpel 2016). `approximate` "none" is the exact form by erf, "tanh" PyTorch's
 * tanh approximation, "quick" x · sigmoid(1.702 x), which OpenAI's CLIP uses.
 */
export function gelu(x: Tensor, options: { approximate?: "none" | "tanh" | "quick" } = {}): Tensor {
  const form = options.approximate ?? "none";
  return unary(form === "none" ? "gelu" : `gelu_${form}`, x);
}

/** The same values in another dtype; f32 to f16 rounds to nearest, and clamps to ±65504. */
export function cast(x: Tensor, dtype: DType): Tensor {
  return x.dtype === dtype ? x : createTensor("cast", x.shape, dtype, { x }, {}, x.label);
}

function unary(fn: UnaryFunction, x: Tensor): Tensor {
  floating(fn, x);
  return createTensor("unary", x.shape, x.dtype, { x }, { fn });
}

function binary(fn: BinaryFunction, a: Tensor, b: Tensor | number): Tensor {
  floating(fn, a);
  if (typeof b === "number") {
    return createTensor("unary", a.shape, a.dtype, { x: a }, { fn: `scalar_${fn}`, scalar: b });
  }
  floating(fn, b);
  const shape = broadcastShapes(fn, a.shape, b.shape);
  return createTensor("binary", shape, a.dtype, { a, b }, { fn });
}

export function floating(op: string, x: Tensor): void {
  if (x.dtype === "i32")
    throw shapeError(op, `${describe(x, "x")} of i32, but the op wants f32 or f16`);
}
