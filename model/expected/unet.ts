import type { UnetConfig } from "../config/unet.ts";
import { conv, linear, norm, resnet, type ShapeTable } from "./table.ts";

/** The tensors of diffusers' UNet2DConditionModel. */
export function expectedUnet(config: UnetConfig): ShapeTable {
  const { blockOutChannels, inChannels, outChannels, numClassEmbeds, timeEmbeddingDim } = config;
  const table: ShapeTable = new Map();
  const first = blockOutChannels[0]!;
  conv(table, "conv_in", first, inChannels, 3);
  linear(table, "time_embedding.linear_1", timeEmbeddingDim, first);
  linear(table, "time_embedding.linear_2", timeEmbeddingDim, timeEmbeddingDim);
  if (numClassEmbeds !== null) {
    table.set("class_embedding.weight", [numClassEmbeds, timeEmbeddingDim]);
  }
  downBlocks(table, config);
  midBlock(table, config);
  upBlocks(table, config);
  norm(table, "conv_norm_out", first);
  conv(table, "conv_out", outChannels, first, 3);
  return table;
}

function downBlocks(table: ShapeTable, config: UnetConfig) {
  const { blockOutChannels: widths, downBlockTypes, layersPerBlock, timeEmbeddingDim } = config;
  for (const [i, width] of widths.entries()) {
    const path = `down_blocks.${i}`;
    for (let j = 0; j < layersPerBlock[i]!; j++) {
      const input = j === 0 ? widths[Math.max(i - 1, 0)]! : width;
      resnet(table, `${path}.resnets.${j}`, width, input, timeEmbeddingDim);
      if (downBlockTypes[i] === "CrossAttnDownBlock2D") {
        transformer(table, `${path}.attentions.${j}`, config, i);
      }
    }
    if (i < widths.length - 1) conv(table, `${path}.downsamplers.0.conv`, width, width, 3);
  }
}

function midBlock(table: ShapeTable, config: UnetConfig) {
  const last = config.blockOutChannels.length - 1;
  const width = config.blockOutChannels[last]!;
  resnet(table, "mid_block.resnets.0", width, width, config.timeEmbeddingDim);
  // diffusers gives the middle block no only_cross_attention, whatever the last level has.
  transformer(table, "mid_block.attentions.0", { ...config, onlyCrossAttention: [] }, last);
  resnet(table, "mid_block.resnets.1", width, width, config.timeEmbeddingDim);
}

/** Each resnet takes the stream and the skip of its mirror: the coarser level's width comes last. */
function upBlocks(table: ShapeTable, config: UnetConfig) {
  const { blockOutChannels: widths, upBlockTypes, layersPerBlock, timeEmbeddingDim } = config;
  for (let i = 0; i < widths.length; i++) {
    const level = widths.length - 1 - i;
    const width = widths[level]!;
    const path = `up_blocks.${i}`;
    const layers = layersPerBlock[level]! + 1;
    for (let j = 0; j < layers; j++) {
      const stream = j === 0 ? widths[Math.min(level + 1, widths.length - 1)]! : width;
      const skip = j === layers - 1 ? widths[Math.max(level - 1, 0)]! : width;
      resnet(table, `${path}.resnets.${j}`, width, stream + skip, timeEmbeddingDim);
      if (upBlockTypes[i] === "CrossAttnUpBlock2D") {
        transformer(table, `${path}.attentions.${j}`, config, level);
      }
    }
    if (level > 0) conv(table, `${path}.upsamplers.0.conv`, width, width, 3);
  }
}

/** diffusers' Transformer2DModel at the width of `level`. */
function transformer(table: ShapeTable, path: string, config: UnetConfig, level: number) {
  const width = config.blockOutChannels[level]!;
  const project = (name: string) =>
    config.useLinearProjection
      ? linear(table, `${path}.${name}`, width, width)
      : conv(table, `${path}.${name}`, width, width, 1);
  norm(table, `${path}.norm`, width);
  project("proj_in");
  for (let i = 0; i < config.transformerLayersPerBlock[level]!; i++) {
    transformerBlock(table, `${path}.transformer_blocks.${i}`, config, level);
  }
  project("proj_out");
}

function transformerBlock(table: ShapeTable, path: string, config: UnetConfig, level: number) {
  const width = config.blockOutChannels[level]!;
  const context = config.crossAttentionDim[level]!;
  norm(table, `${path}.norm1`, width);
  attention(table, `${path}.attn1`, width, config.onlyCrossAttention[level] ? context : width);
  norm(table, `${path}.norm2`, width);
  attention(table, `${path}.attn2`, width, context);
  norm(table, `${path}.norm3`, width);
  // GEGLU: twice four times the width, half of it the gate.
  linear(table, `${path}.ff.net.0.proj`, 8 * width, width);
  linear(table, `${path}.ff.net.2`, width, 4 * width);
}

function attention(table: ShapeTable, path: string, width: number, context: number) {
  linear(table, `${path}.to_q`, width, width, false);
  linear(table, `${path}.to_k`, width, context, false);
  linear(table, `${path}.to_v`, width, context, false);
  linear(table, `${path}.to_out.0`, width, width);
}
