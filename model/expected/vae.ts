import type { VaeConfig } from "../config/vae.ts";
import { conv, linear, norm, resnet, type ShapeTable } from "./table.ts";

/** The names of the encoder's tensors. */
export const VAE_ENCODER = /^(?:encoder|quant_conv)\./;

/** The tensors of diffusers' AutoencoderKL, encoder and decoder. */
export function expectedVae(config: VaeConfig): ShapeTable {
  const { latentChannels, useQuantConv, usePostQuantConv } = config;
  const table: ShapeTable = new Map();
  encoder(table, config);
  if (useQuantConv) conv(table, "quant_conv", 2 * latentChannels, 2 * latentChannels, 1);
  if (usePostQuantConv) conv(table, "post_quant_conv", latentChannels, latentChannels, 1);
  decoder(table, config);
  return table;
}

function encoder(table: ShapeTable, config: VaeConfig) {
  const { blockOutChannels: widths, layersPerBlock, inChannels, latentChannels } = config;
  conv(table, "encoder.conv_in", widths[0]!, inChannels, 3);
  for (const [i, width] of widths.entries()) {
    const path = `encoder.down_blocks.${i}`;
    resnets(table, path, layersPerBlock, width, widths[Math.max(i - 1, 0)]!);
    if (i < widths.length - 1) conv(table, `${path}.downsamplers.0.conv`, width, width, 3);
  }
  const last = widths.at(-1)!;
  midBlock(table, "encoder.mid_block", last, config.midBlockAddAttention);
  norm(table, "encoder.conv_norm_out", last);
  // Mean and log-variance.
  conv(table, "encoder.conv_out", 2 * latentChannels, last, 3);
}

function decoder(table: ShapeTable, config: VaeConfig) {
  const { layersPerBlock, outChannels, latentChannels } = config;
  const widths = config.blockOutChannels.toReversed();
  conv(table, "decoder.conv_in", widths[0]!, latentChannels, 3);
  midBlock(table, "decoder.mid_block", widths[0]!, config.midBlockAddAttention);
  for (const [i, width] of widths.entries()) {
    const path = `decoder.up_blocks.${i}`;
    resnets(table, path, layersPerBlock + 1, width, widths[Math.max(i - 1, 0)]!);
    if (i < widths.length - 1) conv(table, `${path}.upsamplers.0.conv`, width, width, 3);
  }
  norm(table, "decoder.conv_norm_out", widths.at(-1)!);
  conv(table, "decoder.conv_out", outChannels, widths.at(-1)!, 3);
}

function resnets(table: ShapeTable, path: string, layers: number, width: number, input: number) {
  for (let j = 0; j < layers; j++) {
    resnet(table, `${path}.resnets.${j}`, width, j === 0 ? input : width, null);
  }
}

function midBlock(table: ShapeTable, path: string, width: number, attention: boolean) {
  resnet(table, `${path}.resnets.0`, width, width, null);
  if (attention) {
    norm(table, `${path}.attentions.0.group_norm`, width);
    for (const name of ["to_q", "to_k", "to_v", "to_out.0"]) {
      linear(table, `${path}.attentions.0.${name}`, width, width);
    }
  }
  resnet(table, `${path}.resnets.1`, width, width, null);
}
