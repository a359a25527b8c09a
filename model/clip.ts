/** The CLIP text transformer (Radford et al. 2021), as SD2 uses OpenCLIP's ViT-H/14 without its last layer. */
import {
  add,
  cast,
  type DType,
  embedding,
  gelu,
  slice,
  split,
  type Tensor,
} from "../engine/index.ts";
import { layer } from "../engine/parameters.ts";
import type { TextConfig } from "./config.ts";
import { attend, dense, joined, normalize } from "./layers.ts";

/**
 * Hidden states after the final norm. ids [B, N] of i32 with N <= max_position_embeddings -> [B, N, C] of
 * `dtype`. There is no padding mask; every token sees itself and those before it.
 */
export const textEncoder = layer((w, config: TextConfig, ids: Tensor, dtype: DType): Tensor => {
  let x = embed(w.at("embeddings"), ids, dtype);
  for (const block of w.list("encoder.layers")) x = textLayer(block, config, x);
  return normalize(w.at("final_layer_norm"), x, config.layerNormEps);
});

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
