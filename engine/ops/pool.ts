/** Pooling of pictures. */
import { shapeError } from "../errors.ts";
import { createTensor, type Tensor } from "../tensor.ts";
import { type Conv2dOptions, pair, slide } from "./conv2d.ts";
import { floating } from "./elementwise.ts";

export interface MaxPool2dOptions extends Conv2dOptions {
  /** One step for both axes, or [vertical, horizontal]. Default: the kernel's size. */
  readonly stride?: number | readonly [number, number];
}

/**
 * The largest value in each window, as torch.nn.functional.max_pool2d (dilation 1, no ceil_mode); what lies
 * outside of the picture does not count. x [B, H, W, C] (channels last), a kernel of n x n or [height, width]
 * -> [B, (H + top + bottom - kh) / stride + 1, …, C]. Throws SHAPE if no window fits or one could be empty.
 */
export function maxPool2d(
  x: Tensor,
  kernelSize: number | readonly [number, number],
  options: MaxPool2dOptions = {},
): Tensor {
  floating("max_pool2d", x);
  if (x.shape.length !== 4) {
    throw shapeError(
      "max_pool2d",
      `x is [${x.shape}], but it must be [batch, height, width, channels]`,
    );
  }
  const kernel = pair("max_pool2d", kernelSize, 1, "kernel size");
  const { stride = kernel, padding: given = 0 } = options;
  const { outHeight, outWidth, padding, ...steps } = slide("max_pool2d", x, kernel, {
    stride,
    padding: given,
  });
  if (padding.some((side, i) => side >= kernel[i < 2 ? 0 : 1])) {
    throw shapeError(
      "max_pool2d",
      `padding [${padding}] with a ${kernel.join("x")} kernel would leave a window without a pixel`,
    );
  }
  const shape = [x.shape[0]!, outHeight, outWidth, x.shape[3]!];
  return createTensor("max_pool2d", shape, x.dtype, { x }, { kernel, padding, ...steps });
}
