/** AutoencoderKL: encoder and decoder (Esser et al. 2021; Rombach et al. 2022). */
import { add, reshape, silu, type Tensor } from "../engine/index.ts";
import { layer } from "../engine/parameters.ts";
import type { VaeConfig } from "./config.ts";
import {
  attend,
  conv,
  dense,
  downsample,
  group,
  type Norm,
  resnet,
  times,
  toTokens,
  upsample,
} from "./layers.ts";

/** Every norm of the VAE, whatever the configuration says. */
export const VAE_EPS = 1e-6;

/** A row below and a column to the right, none above and to the left: as the VAE was trained, unlike the UNet. */
export const VAE_DOWN_PADDING = [0, 1, 0, 1] as const;

/**
 * What a norm of the VAE reads is so many times what the weights make it, in f16: 1e4 and more in Stable
 * Diffusion 2's decoder, near the largest half (65504). Nothing else changes: a group norm does not see a factor
 * if its epsilon has the square of it, and between two norms all is linear, so the factor goes on what enters
 * the stream (the first convolution, every branch that is added, biases). A power of two is exact, and this one
 * leaves room to 4e6 while values down to 4e-3 keep every bit of a half. The kernels multiply their f32 sums.
 */
const HALF_SCALE = 2 ** -6;

function vaeNorm({ normNumGroups }: VaeConfig, { dtype }: Tensor): Norm {
  const scale = dtype === "f16" ? HALF_SCALE : undefined;
  return { groups: normNumGroups, eps: VAE_EPS, scale };
}

/**
 * A picture to the moments of its latents: their means, then their log variances.
 * x [B, H, W, 3] in about -1..1 -> [B, ⌊H / 8⌋, ⌊W / 8⌋, 8].
 */
export const vaeEncoder = layer((w, config: VaeConfig, x: Tensor): Tensor => {
  const moments = encoder(w.at("encoder"), vaeNorm(config, x), x);
  return w.has("quant_conv") ? conv(w.at("quant_conv"), moments) : moments;
});

/** All of the encoder but quant_conv. */
export const encoder = layer((w, norm: Norm, x: Tensor): Tensor => {
  let h = conv(w.at("conv_in"), x, { padding: 1, scale: norm.scale });
  for (const block of w.list("down_blocks")) h = downBlock(block, norm, h);
  h = midBlock(w.at("mid_block"), norm, h);
  return conv(w.at("conv_out"), silu(group(w.at("conv_norm_out"), h, norm)), { padding: 1 });
});

/** Resnets, then half the size. */
export const downBlock = layer((w, norm: Norm, x: Tensor): Tensor => {
  const h = w.list("resnets").reduce((h, block) => resnet(block, h, norm), x);
  return w.has("downsamplers")
    ? downsample(w.at("downsamplers.0"), h, VAE_DOWN_PADDING, norm.scale)
    : h;
});

/** Latents divided by the scaling factor to a picture in about -1..1. z [B, h, w, 4] -> [B, 8h, 8w, 3]. */
export const vaeDecoder = layer((w, config: VaeConfig, z: Tensor): Tensor => {
  const x = w.has("post_quant_conv") ? conv(w.at("post_quant_conv"), z) : z;
  return decoder(w.at("decoder"), vaeNorm(config, z), x);
});

/** All of the decoder but post_quant_conv. */
export const decoder = layer((w, norm: Norm, x: Tensor): Tensor => {
  let h = conv(w.at("conv_in"), x, { padding: 1, scale: norm.scale });
  h = midBlock(w.at("mid_block"), norm, h);
  for (const block of w.list("up_blocks")) h = upBlock(block, norm, h);
  return conv(w.at("conv_out"), silu(group(w.at("conv_norm_out"), h, norm)), { padding: 1 });
});

/** Resnets, then twice the size. */
export const upBlock = layer((w, norm: Norm, x: Tensor): Tensor => {
  const h = w.list("resnets").reduce((h, block) => resnet(block, h, norm), x);
  return w.has("upsamplers") ? upsample(w.at("upsamplers.0"), h, undefined, norm.scale) : h;
});

/** Resnet, then (attention over all pixels, resnet). */
export const midBlock = layer((w, norm: Norm, x: Tensor): Tensor => {
  const [first, ...rest] = w.list("resnets");
  let h = resnet(first!, x, norm);
  rest.forEach((block, i) => {
    if (w.has(`attentions.${i}`)) h = pixelAttention(w.at(`attentions.${i}`), norm, h);
    h = resnet(block, h, norm);
  });
  return h;
});

/** Self-attention over all pixels with one head, added to x. */
export const pixelAttention = layer((w, norm: Norm, x: Tensor): Tensor => {
  const tokens = toTokens(group(w.at("group_norm"), x, norm));
  // Three products: side by side as one, those of a large picture would not fit a binding.
  const [q, k, v] = ["to_q", "to_k", "to_v"].map((name) => dense(w.at(name), tokens));
  const seen = reshape(attend(q!, k!, v!, 1), x.shape);
  return add(times(dense(w.at("to_out.0"), seen), norm.scale), x);
});
