/** An op made of one kernel of the caller's own: how layers above add what the engine does not know. */
import type { Kernel } from "../../shaders/kernel.ts";
import type { DType } from "../dtype.ts";
import type { Shape } from "../shape.ts";
import { createTensor, type Inputs, type Tensor } from "../tensor.ts";

/**
 * The result of `kernel` on `inputs`, which carry the names of its read operands; its write operand must
 * be called y and fill a tensor of `shape`. Throws INTERNAL while lowering if an operand is missing.
 */
export function custom<P>(
  kernel: Kernel<P>,
  params: P,
  inputs: Inputs,
  shape: Shape,
  dtype: DType,
): Tensor {
  return createTensor("custom", shape, dtype, inputs, { kernel, params });
}
