/**
 * DPT-hybrid, MiDaS's depth estimator (Ranftl et al. 2021, arXiv 2103.13413; Ranftl et al. 2020, arXiv
 * 1907.01341): features of a ResNet and of a ViT on top of it, fused from coarse to fine.
 */
import {
  add,
  cast,
  concat,
  expand,
  gelu,
  interpolate,
  relu,
  reshape,
  slice,
  split,
  type Tensor,
} from "../../engine/index.ts";
import { layer } from "../../engine/parameters.ts";
import { attend, conv, dense, joined, normalize, toTokens } from "../layers.ts";
import { backbone } from "./bit.ts";
import type { DptConfig } from "./config.ts";

/** Height and width in tokens. */
export type Grid = readonly [number, number];

/**
 * Relative inverse depth, 0 or more, near is large: pictures x [B, H, W, 3] in -1..1 with H and W multiples
 * of 32 -> [B, H, W, 1].
 */
export const dpt = layer((w, config: DptConfig, x: Tensor): Tensor => {
  const [, height, width] = x.shape as [number, number, number, number];
  const grid = [height / config.patchSize, width / config.patchSize] as const;
  const vit = w.at("dpt");
  const { tokens, features } = embeddings(vit.at("embeddings"), config, x);
  let h = tokens;
  const read: Tensor[] = [];
  // Layers behind the last one that is read change nothing.
  for (const block of vit.list("encoder.layer").slice(0, config.hooks.at(-1)! + 1)) {
    h = vitLayer(block, config, h);
    read.push(h);
  }
  const hidden = config.hooks.map((index) => read[index]!);
  const pictures = reassemble(w.at("neck.reassemble_stage"), config, hidden, grid);
  const fused = fusion(w.at("neck"), [...features, ...pictures]);
  return head(w.at("head.head"), fused);
});

/** The backbone's last stage as tokens behind a class token, with their places; its first two stages. */
export const embeddings = layer((w, config: DptConfig, x: Tensor) => {
  const stages = backbone(w.at("backbone.bit"), config.backbone, x);
  const patches = conv(w.at("projection"), stages[2]!);
  const [batch, height, width, channels] = patches.shape as [number, number, number, number];
  const first = cast(w.tensor("cls_token"), x.dtype);
  const tokens = concat([expand(first, [batch, 1, channels]), toTokens(patches)], 1);
  const places = positions(w.tensor("position_embeddings"), config.positionGrid, [height, width]);
  return { tokens: add(tokens, places), features: stages.slice(0, 2) };
});

/** The trained places, resized to another grid: a constant of the plan. [1, 1 + n², C] -> [1, 1 + h·w, C]. */
function positions(table: Tensor, trained: number, [height, width]: Grid): Tensor {
  const all = cast(table, "f32");
  const channels = table.shape[2]!;
  const square = reshape(slice(all, 1, 1), [1, trained, trained, channels]);
  const resized = interpolate(square, { size: [height, width], mode: "bilinear" });
  return concat([slice(all, 1, 0, 1), reshape(resized, [1, height * width, channels])], 1);
}

/** DPTViTLayer: x + attention(norm x), then x + mlp(norm x). x [B, N, C]. */
export const vitLayer = layer((w, config: DptConfig, x: Tensor): Tensor => {
  const norm = (name: string, t: Tensor) => normalize(w.at(name), t, config.layerNormEps);
  const h = add(vitAttention(w.at("attention"), config, norm("layernorm_before", x)), x);
  const inner = gelu(dense(w.at("intermediate.dense"), norm("layernorm_after", h)));
  return add(dense(w.at("output.dense"), inner), h);
});

const vitAttention = layer((w, config: DptConfig, x: Tensor): Tensor => {
  const qkv = joined(w.at("attention"), x, ["query", "key", "value"]);
  const [q, k, v] = split(qkv, config.hiddenSize, -1);
  return dense(w.at("output.dense"), attend(q!, k!, v!, config.numAttentionHeads));
});

/**
 * Tokens back to pictures: the class token is joined to each of the others ("project"), then their
 * channels are projected and the size is halved where the factor says so. [B, 1 + h·w, C] each.
 */
export const reassemble = layer(
  (w, config: DptConfig, hidden: readonly Tensor[], grid: Grid): Tensor[] =>
    hidden.map((tokens, i) => {
      // Numbers 0 and 1 are the backbone's features, which have no weights here.
      const number = i + 2;
      const [batch, , channels] = tokens.shape as [number, number, number];
      const own = slice(tokens, 1, 1);
      const readout = expand(slice(tokens, 1, 0, 1), own.shape);
      const read = gelu(dense(w.at(`readout_projects.${number}.0`), concat([own, readout], -1)));
      const picture = reshape(read, [batch, ...grid, channels]);
      const projected = conv(w.at(`layers.${number}.projection`), picture);
      return config.reassembleFactors[i] === 1
        ? projected
        : conv(w.at(`layers.${number}.resize`), projected, { stride: 2, padding: 1 });
    }),
);

/** Features, finest first, to one width and then one into the next, coarsest first. -> [B, H/2, W/2, C]. */
export const fusion = layer((w, features: readonly Tensor[]): Tensor => {
  const same = features.map((x, i) => conv(w.at(`convs.${i}`), x, { padding: 1 }));
  const [coarsest, ...finer] = same.reverse();
  const [first, ...rest] = w.list("fusion_stage.layers");
  return rest.reduce((h, block, i) => fuse(block, h, finer[i]!), fuse(first!, coarsest!));
});

/** DPTFeatureFusionLayer: adds the finer feature, where there is one, and doubles the size. */
export const fuse = layer((w, x: Tensor, finer?: Tensor): Tensor => {
  const sum = finer ? add(x, residualUnit(w.at("residual_layer1"), finer)) : x;
  return conv(w.at("projection"), twice(residualUnit(w.at("residual_layer2"), sum)));
});

/** DPTPreActResidualLayer: x + conv2(relu(conv1(relu x))). */
export const residualUnit = layer((w, x: Tensor): Tensor => {
  const h = relu(conv(w.at("convolution1"), relu(x), { padding: 1 }));
  return add(conv(w.at("convolution2"), h, { padding: 1 }), x);
});

/** Three convolutions, between the first two twice the size. [B, h, w, C] -> [B, 2h, 2w, 1]. */
export const head = layer((w, x: Tensor): Tensor => {
  const large = twice(conv(w.at("0"), x, { padding: 1 }));
  return relu(conv(w.at("4"), relu(conv(w.at("2"), large, { padding: 1 }))));
});

function twice(x: Tensor): Tensor {
  const [, height, width] = x.shape as [number, number, number, number];
  return interpolate(x, { size: [2 * height, 2 * width], mode: "bilinear", alignCorners: true });
}
