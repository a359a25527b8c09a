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
  const [batch, height, width, inChannels] = fourAxes(x, "x", "[batch, height, width, channels]");
  const [outChannels, wanted, kh, kw] = fourAxes(weight, "weight", "[out, in, height, width]");
  if (inChannels !== wanted) {
    throw shapeError(
      "conv2d",
      `${describe(weight, "weight")} but x is [${x.shape}]: x has ${inChannels} channels, the weight wants ${wanted}`,
    );
  }
  checkBias("conv2d", bias, outChannels);
  const stride = pair(options.stride ?? 1, 1, "stride");
  const padding = sides(options.padding ?? 0);
  const outHeight = outputSize(height + padding[0] + padding[1], kh, stride[0]);
  const outWidth = outputSize(width + padding[2] + padding[3], kw, stride[1]);
  if (outHeight < 1 || outWidth < 1) {
    throw shapeError(
      "conv2d",
      `a ${kh}x${kw} kernel does not fit in [${x.shape}] with padding [${padding}]`,
    );
  }
  const shape = [batch, outHeight, outWidth, outChannels];
  const attrs = { stride, padding };
  return createTensor("conv2d", shape, x.dtype, { x, weight, bias }, attrs, labelOf(weight));
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

function pair(
  value: number | readonly [number, number],
  least: number,
  name: string,
): [number, number] {
  const both: [number, number] = typeof value === "number" ? [value, value] : [value[0], value[1]];
  for (const v of both) {
    if (!Number.isInteger(v) || v < least) {
      throw shapeError("conv2d", `${name} ${v} must be a whole number of at least ${least}`);
    }
  }
  return both;
}

function sides(padding: NonNullable<Conv2dOptions["padding"]>): Padding {
  if (typeof padding !== "number" && padding.length === 4) {
    pair([padding[0], padding[1]], 0, "padding");
    pair([padding[2], padding[3]], 0, "padding");
    return padding;
  }
  const [vertical, horizontal] = pair(padding as number | [number, number], 0, "padding");
  return [vertical, vertical, horizontal, horizontal];
}
