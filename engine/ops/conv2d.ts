/** Two-dimensional convolution. */
import { shapeError } from "../errors.ts";
import { createTensor, describe, type Tensor } from "../tensor.ts";
import { floating } from "./elementwise.ts";
import { checkBias, labelOf } from "./linear.ts";

/** Zeros added around a picture. */
export type Padding = readonly [top: number, bottom: number, left: number, right: number];

export interface Conv2dOptions {
  /** One step for both axes, or [vertical, horizontal]. Default 1. */
  readonly stride?: number | readonly [number, number];
  /** The same on all sides, [vertical, horizontal], or [top, bottom, left, right]. Default 0. */
  readonly padding?: number | readonly [number, number] | Padding;
}

/**
 * Cross-correlation as torch.nn.functional.conv2d (dilation 1, groups 1).
 * x [B, H, W, I] (channels last), weight [O, I, kh, kw] (as checkpoints store it), bias [O]
 * -> [B, (H + top + bottom - kh) / stride + 1, …, O]. Throws SHAPE if channels do not fit or nothing is left.
 */
export function conv2d(
  x: Tensor,
  weight: Tensor,
  bias?: Tensor | null,
  options: Conv2dOptions = {},
): Tensor {
  floating("conv2d", x);
  const [batch, , , inChannels] = fourAxes(x, "x", "[batch, height, width, channels]");
  const [outChannels, wanted, kh, kw] = fourAxes(weight, "weight", "[out, in, height, width]");
  if (inChannels !== wanted) {
    throw shapeError(
      "conv2d",
      `${describe(weight, "weight")} but x is [${x.shape}]: x has ${inChannels} channels, the weight wants ${wanted}`,
    );
  }
  checkBias("conv2d", bias, outChannels);
  const { outHeight, outWidth, ...attrs } = slide("conv2d", x, [kh, kw], options);
  const shape = [batch, outHeight, outWidth, outChannels];
  return createTensor("conv2d", shape, x.dtype, { x, weight, bias }, attrs, labelOf(weight));
}

/** Where a window of `kernel` pixels stands in x, and how often. Throws SHAPE if it fits nowhere. */
export function slide(
  op: string,
  x: Tensor,
  kernel: readonly [number, number],
  options: Conv2dOptions,
) {
  const [, height, width] = x.shape as [number, number, number, number];
  const stride = pair(op, options.stride ?? 1, 1, "stride");
  const padding = sides(op, options.padding ?? 0);
  const outHeight = outputSize(height + padding[0] + padding[1], kernel[0], stride[0]);
  const outWidth = outputSize(width + padding[2] + padding[3], kernel[1], stride[1]);
  if (outHeight < 1 || outWidth < 1) {
    throw shapeError(
      op,
      `a ${kernel.join("x")} kernel does not fit in [${x.shape}] with padding [${padding}]`,
    );
  }
  return { stride, padding, outHeight, outWidth };
}

function outputSize(padded: number, kernel: number, stride: number): number {
  return Math.floor((padded - kernel) / stride) + 1;
}

function fourAxes(t: Tensor, name: string, wanted: string): [number, number, number, number] {
  if (t.shape.length !== 4) {
    throw shapeError("conv2d", `${describe(t, name)}, but it must be ${wanted}`);
  }
  return t.shape as [number, number, number, number] & typeof t.shape;
}

export function pair(
  op: string,
  value: number | readonly [number, number],
  least: number,
  name: string,
): [number, number] {
  const both: [number, number] = typeof value === "number" ? [value, value] : [value[0], value[1]];
  for (const v of both) {
    if (!Number.isInteger(v) || v < least) {
      throw shapeError(op, `${name} ${v} must be a whole number of at least ${least}`);
    }
  }
  return both;
}

function sides(op: string, padding: NonNullable<Conv2dOptions["padding"]>): Padding {
  if (typeof padding !== "number" && padding.length === 4) {
    pair(op, [padding[0], padding[1]], 0, "padding");
    pair(op, [padding[2], padding[3]], 0, "padding");
    return padding;
  }
  const [vertical, horizontal] = pair(op, padding as number | [number, number], 0, "padding");
  return [vertical, vertical, horizontal, horizontal];
}
