/** Normalisations. Statistics and the arithmetic are f32 whatever the tensor's dtype. */
import { shapeError } from "../errors.ts";
import { axisOf, sameShape } from "../shape.ts";
import { createTensor, describe, type Tensor } from "../tensor.ts";
import { floating } from "./elementwise.ts";
import { labelOf } from "./linear.ts";

/**
 * Group normalisation (Wu and He 2018): (x - mean) / √(var + eps) · weight + bias over each group of
 * neighbouring channels and all positions. x [B, ..., C] (channels last), weight and bias [C].
 * Throws SHAPE if C is not a multiple of numGroups or the weights do not fit.
 */
export function groupNorm(
  x: Tensor,
  numGroups: number,
  weight?: Tensor | null,
  bias?: Tensor | null,
  eps = 1e-5,
): Tensor {
  floating("group_norm", x);
  const channels = x.shape.at(-1) ?? 1;
  if (x.shape.length < 2)
    throw shapeError("group_norm", `x is [${x.shape}], but it must be [batch, ..., channels]`);
  if (!Number.isInteger(numGroups) || numGroups < 1 || channels % numGroups !== 0) {
    throw shapeError(
      "group_norm",
      `x is [${x.shape}]: ${channels} channels do not divide into ${numGroups} groups`,
    );
  }
  checkScale("group_norm", weight, [channels]);
  checkScale("group_norm", bias, [channels]);
  const attrs = { groups: numGroups, eps };
  return createTensor(
    "group_norm",
    x.shape,
    x.dtype,
    { x, weight, bias },
    attrs,
    weight ? labelOf(weight) : undefined,
  );
}

/**
 * Layer normalisation (Ba et al. 2016) over the last axis: normalizedShape must be [C].
 * x [..., C], weight and bias [C]. Throws SHAPE if they do not fit.
 */
export function layerNorm(
  x: Tensor,
  normalizedShape: readonly number[],
  weight?: Tensor | null,
  bias?: Tensor | null,
  eps = 1e-5,
): Tensor {
  floating("layer_norm", x);
  if (normalizedShape.length !== 1 || normalizedShape[0] !== x.shape.at(-1)) {
    throw shapeError(
      "layer_norm",
      `x is [${x.shape}], but the normalized shape is [${normalizedShape}]: only the last axis is supported`,
    );
  }
  checkScale("layer_norm", weight, normalizedShape);
  checkScale("layer_norm", bias, normalizedShape);
  return createTensor(
    "layer_norm",
    x.shape,
    x.dtype,
    { x, weight, bias },
    { eps },
    weight ? labelOf(weight) : undefined,
  );
}

/** exp(x) / Σ exp(x) along `dim`, with the maximum taken off first. Throws SHAPE for an axis that is not there. */
export function softmax(x: Tensor, dim = -1): Tensor {
  floating("softmax", x);
  return createTensor(
    "softmax",
    x.shape,
    x.dtype,
    { x },
    { dim: axisOf("softmax", dim, x.shape.length) },
  );
}

function checkScale(op: string, t: Tensor | null | undefined, wanted: readonly number[]): void {
  if (t && !sameShape(t.shape, wanted)) {
    throw shapeError(
      op,
      `${describe(t, "weight or bias")}, but x has ${wanted[0]} channels: expected [${wanted}]`,
    );
  }
}
