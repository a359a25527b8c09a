/** Matrix products. */
import { shapeError } from "../errors.ts";
import { broadcastShapes } from "../shape.ts";
import { createTensor, describe, type Tensor } from "../tensor.ts";
import { floating } from "./elementwise.ts";
import { reshape } from "./layout.ts";

/**
 * x · weightᵀ + bias. x [..., K], weight [N, K], bias [N] -> [..., N].
 * Throws SHAPE if the weight's or the bias's size does not fit. Products are summed in f32.
 */
export function linear(x: Tensor, weight: Tensor, bias?: Tensor | null): Tensor {
  floating("linear", x);
  const [N, K] = weight.shape;
  if (weight.shape.length !== 2 || N === undefined) {
    throw shapeError("linear", `${describe(weight, "weight")}, but it must be [out, in]`);
  }
  if (x.shape.at(-1) !== K) {
    throw shapeError(
      "linear",
      `${describe(weight, "weight")} but x is [${x.shape}]: x has ${x.shape.at(-1) ?? 0} features, the weight wants ${K}`,
    );
  }
  checkBias("linear", bias, N);
  const shape = [...x.shape.slice(0, -1), N];
  return createTensor("linear", shape, x.dtype, { x, weight, bias }, {}, labelOf(weight));
}

/**
 * a · b over the last two axes; leading axes broadcast. a [..., M, K], b [..., K, N] -> [..., M, N].
 * One axis alone is a row (a) or a column (b), and is missing in the result, as in PyTorch.
 * Throws SHAPE if K differs or the batch axes do not broadcast.
 */
export function matmul(a: Tensor, b: Tensor): Tensor {
  floating("matmul", a);
  floating("matmul", b);
  if (a.shape.length === 0 || b.shape.length === 0) {
    throw shapeError(
      "matmul",
      `a is [${a.shape}] and b is [${b.shape}], but neither may be a scalar`,
    );
  }
  if (a.shape.length === 1) {
    const product = matmul(reshape(a, [1, ...a.shape]), b);
    return reshape(product, product.shape.toSpliced(b.shape.length === 1 ? 0 : -2, 1));
  }
  if (b.shape.length === 1)
    return reshape(matmul(a, reshape(b, [...b.shape, 1])), a.shape.slice(0, -1));
  const [M, K] = a.shape.slice(-2) as [number, number];
  const [K2, N] = b.shape.slice(-2) as [number, number];
  if (K !== K2) {
    throw shapeError(
      "matmul",
      `a is [${a.shape}] and b is [${b.shape}]: a has ${K} columns, b has ${K2} rows`,
    );
  }
  const batch = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  return createTensor("matmul", [...batch, M, N], a.dtype, { a, b });
}

export function checkBias(op: string, bias: Tensor | null | undefined, N: number): void {
  if (bias && (bias.shape.length !== 1 || bias.shape[0] !== N)) {
    throw shapeError(
      op,
      `${describe(bias, "bias")}, but the result has ${N} channels: expected [${N}]`,
    );
  }
}

/** A result is named after its weight: "unet.conv_in.weight" makes "unet.conv_in". */
export function labelOf(weight: Tensor): string | undefined {
  return weight.op === "parameter" ? weight.label.replace(/\.weight$/, "") : undefined;
}
