/** The CLIP text transformer (Radford et al. 2021), as SD2 uses OpenCLIP's ViT-H/14 without its last layer. */
import { DiffusionError } from "../engine/errors.ts";
import {
  add,
  cast,
  type DType,
  div,
  embedding,
  gelu,
  linear,
  mean,
  mul,
  reshape,
  slice,
  split,
  type Tensor,
} from "../engine/index.ts";
import { layer } from "../engine/parameters.ts";
import type { TextConfig } from "./config.ts";
import { attend, dense, joined, normalize } from "./layers.ts";

export interface TextOptions {
  /** Layers at the end that are left out: diffusers' `clip_skip`, the webui's "Clip skip" less 1. */
  readonly skip?: number | undefined;
}

/**
 * Hidden states after the final norm. ids [B, N] of i32 with N <= max_position_embeddings -> [B, N, C] of
 * `dtype`. There is no padding mask; every token sees itself and those before it. Throws BAD_REQUEST if
 * `skip` leaves no layer.
 */
export const textEncoder = layer(
  (w, config: TextConfig, ids: Tensor, dtype: DType, { skip = 0 }: TextOptions = {}): Tensor => {
    checkSkip(skip, config);
    let x = embed(w.at("embeddings"), ids, dtype);
    const blocks = w.list("encoder.layers");
    for (const block of blocks.slice(0, blocks.length - skip)) x = textLayer(block, config, x);
    return normalize(w.at("final_layer_norm"), x, config.layerNormEps);
  },
);

/** Throws BAD_REQUEST for a number of layers that cannot be left out. */
export function checkSkip(skip: number, { numHiddenLayers }: TextConfig): void {
  if (Number.isInteger(skip) && skip >= 0 && skip < numHiddenLayers) return;
  throw new DiffusionError(
    "BAD_REQUEST",
    `clipSkip must be a whole number between 0 and ${numHiddenLayers - 1} (got ${skip})`,
    { hint: `The text encoder has ${numHiddenLayers} layers; one must be left.` },
  );
}

/**
 * Emphasis: hidden states times the weights of their tokens, then scaled so that their mean is what it was
 * (the webui's "Original"). context [K, N, C], K chunks, those of one encoding side by side; weights [K, N]
 * and shares [K, K] of f32 (`planPrompt`): a chunk's mean is that of the chunks in its row of `shares`.
 * -> [K / chunks, chunks · N, C] in context's dtype. A mean near 0 after the weights gives huge values.
 */
export function conditionText(
  context: Tensor,
  weights: Tensor,
  shares: Tensor,
  chunks: number,
): Tensor {
  const [count, tokens, channels] = context.shape as [number, number, number];
  const before = cast(context, "f32");
  const after = mul(before, reshape(weights, [count, tokens, 1]));
  const means = (x: Tensor) =>
    linear(reshape(mean(reshape(x, [count, tokens * channels]), -1), [1, count]), shares);
  const restore = reshape(div(means(before), means(after)), [count, 1, 1]);
  return joinChunks(cast(mul(after, restore), context.dtype), chunks);
}

/** The chunks of each encoding one after another. context [K, N, C] -> [K / chunks, chunks · N, C]. */
export function joinChunks(context: Tensor, chunks: number): Tensor {
  const [count, tokens, channels] = context.shape as [number, number, number];
  return reshape(context, [count / chunks, chunks * tokens, channels]);
}

/** Tokens and their places. ids [B, N] -> [B, N, C] in the dtype of the table. */
export const embed = layer((w, ids: Tensor, dtype: DType): Tensor => {
  const [, length] = ids.shape as [number, number];
  // The sum is rounded to `dtype`, not to what the tables are stored in.
  const tokens = cast(embedding(ids, w.tensor("token_embedding.weight")), dtype);
  return add(tokens, slice(w.tensor("position_embedding.weight"), 0, 0, length));
});

/** CLIPEncoderLayer: x + attention(norm1 x), then x + mlp(norm2 x). x [B, N, C]. */
export const textLayer = layer((w, config: TextConfig, x: Tensor): Tensor => {
  const attended = causalAttention(
    w.at("self_attn"),
    config,
    normalize(w.at("layer_norm1"), x, config.layerNormEps),
  );
  const h = add(attended, x);
  return add(mlp(w.at("mlp"), config, normalize(w.at("layer_norm2"), h, config.layerNormEps)), h);
});

/** Each token looks at itself and those before it. x [B, N, C]. */
export const causalAttention = layer((w, config: TextConfig, x: Tensor): Tensor => {
  const qkv = joined(w, x, ["q_proj", "k_proj", "v_proj"]);
  const [q, k, v] = split(qkv, config.hiddenSize, -1);
  return dense(w.at("out_proj"), attend(q!, k!, v!, config.numAttentionHeads, { isCausal: true }));
});

/** Up, activation, down. x [B, N, C]. */
export const mlp = layer(
  (w, config: TextConfig, x: Tensor): Tensor =>
    dense(w.at("fc2"), gelu(dense(w.at("fc1"), x), { approximate: config.geluApproximate })),
);
