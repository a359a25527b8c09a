/**
 * The layers that Stable Diffusion's networks are made of. Pictures are [B, H, W, C], tokens
 * [B, N, C]: the same memory, so that one becomes the other by a reshape. Channel counts come from
 * the weights, head counts and epsilons from the configuration.
 */
import {
  add,
  attention as attend,
  cast,
  concat,
  conv2d,
  gelu,
  groupNorm,
  interpolate,
  layerNorm,
  linear,
  mul,
  type Padding,
  reshape,
  silu,
  split,
  type Tensor,
} from "../engine/index.ts";
import { layer, type Weights } from "../engine/parameters.ts";

export interface Norm {
  readonly groups: number;
  readonly eps: number;
  /** What is to be normalised is so many times what the weights make it: see SCALE in vae.ts. Default 1. */
  readonly scale?: number | undefined;
}

export interface ConvOptions {
  readonly stride?: number;
  readonly padding?: number | Padding;
  /** Factor on the result. */
  readonly scale?: number | undefined;
  /** Factor on the bias alone: on the result, if x has it already. */
  readonly biasScale?: number | undefined;
}

export const conv = layer((w, x: Tensor, { scale, biasScale, ...options }: ConvOptions = {}) => {
  const bias = w.optional("bias");
  const ownBias = bias && biasScale ? times(cast(bias, "f32"), biasScale) : bias;
  return times(conv2d(x, w.tensor("weight"), ownBias, options), scale);
});

export const dense = layer((w, x: Tensor) => linear(x, w.tensor("weight"), w.optional("bias")));

/** Exact in f32, and in f16 but for subnormals, where `factor` is a power of two. */
export function times(x: Tensor, factor = 1): Tensor {
  return factor === 1 ? x : mul(x, factor);
}

/** Group norm of x as `scale` says it is: the same as of x / scale. */
export const group = layer((w, x: Tensor, { groups, eps, scale = 1 }: Norm) =>
  groupNorm(x, groups, w.tensor("weight"), w.tensor("bias"), eps * scale * scale),
);

export const normalize = layer((w, x: Tensor, eps: number) =>
  layerNorm(x, [x.shape.at(-1)!], w.tensor("weight"), w.tensor("bias"), eps),
);

/**
 * ResnetBlock2D: x + conv2(silu(norm2(conv1(silu(norm1 x)) + time))) (He et al. 2016; the time embedding
 * is added as in Ho et al. 2020). x [B, H, W, C]; time [1 or B, C'] is already projected.
 */
export const resnet = layer((w, x: Tensor, norm: Norm, time?: Tensor): Tensor => {
  const { scale } = norm;
  let h = conv(w.at("conv1"), silu(group(w.at("norm1"), x, norm)), { padding: 1, scale });
  if (time) h = add(h, reshape(times(time, scale), [time.shape[0]!, 1, 1, time.shape[1]!]));
  h = conv(w.at("conv2"), silu(group(w.at("norm2"), h, norm)), { padding: 1, scale });
  const shortcut = w.has("conv_shortcut");
  return add(h, shortcut ? conv(w.at("conv_shortcut"), x, { biasScale: scale }) : x);
});

/** Downsample2D: a 3x3 convolution at every second pixel. x may be scaled, as in `Norm`. */
export const downsample = layer(
  (w, x: Tensor, padding: number | Padding, biasScale?: number): Tensor =>
    conv(w.at("conv"), x, { stride: 2, padding, biasScale }),
);

/**
 * Upsample2D: nearest neighbour to the given size (twice, if none is given), then a 3x3 convolution. x may be
 * scaled, as in `Norm`.
 */
export const upsample = layer(
  (w, x: Tensor, size?: readonly [number, number], biasScale?: number): Tensor => {
    const [, height, width] = x.shape as [number, number, number, number];
    const large = interpolate(x, { size: size ?? [2 * height, 2 * width] });
    return conv(w.at("conv"), large, { padding: 1, biasScale });
  },
);

/** Attention of x on itself; the three projections are one product. x [B, N, C]. */
export const selfAttention = layer((w, x: Tensor, heads: number): Tensor => {
  const [q, k, v] = split(joined(w, x, ["to_q", "to_k", "to_v"]), x.shape.at(-1)!, -1);
  return dense(w.at("to_out.0"), attend(q!, k!, v!, heads));
});

/** Attention of x on keys and values made before. x [B, N, C], keysValues [B, M, 2C]. */
export const crossAttention = layer((w, x: Tensor, keysValues: Tensor, heads: number): Tensor => {
  const [k, v] = split(keysValues, keysValues.shape.at(-1)! / 2, -1);
  return dense(w.at("to_out.0"), attend(dense(w.at("to_q"), x), k!, v!, heads));
});

/** What cross-attention needs of the text, side by side: it depends on the prompt alone. [B, M, 2C]. */
export const keysAndValues = layer(
  (w, context: Tensor): Tensor => joined(w, context, ["to_k", "to_v"]),
);

/** Several projections of the same x as one, their results side by side. */
export function joined(w: Weights, x: Tensor, names: readonly string[]): Tensor {
  const weights = names.map((name) => w.tensor(`${name}.weight`));
  const biases = names.flatMap((name) => w.optional(`${name}.bias`) ?? []);
  return linear(x, concat(weights, 0), biases.length > 0 ? concat(biases, 0) : undefined);
}

/** GEGLU feed-forward: (x·W₁ + b₁) · gelu(x·W₂ + b₂), then back to C (Shazeer 2020, eq. 6). */
export const feedForward = layer(
  (w, x: Tensor): Tensor => dense(w.at("net.2"), geglu(w.at("net.0"), x)),
);

/** The gated half of `feedForward`. x [B, N, C] -> [B, N, 4C]. */
export const geglu = layer((w, x: Tensor): Tensor => {
  const both = dense(w.at("proj"), x);
  const [value, gate] = split(both, both.shape.at(-1)! / 2, -1);
  return mul(value!, gelu(gate!));
});

/** The spatial axes of a picture as one axis of tokens. */
export function toTokens(x: Tensor): Tensor {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  return reshape(x, [batch, height * width, channels]);
}

export { attend };
