/** The tensors of a DPT-hybrid, by transformers' names. */
import { conv, linear, norm, type ShapeTable } from "../expected/table.ts";
import type { DptConfig } from "./config.ts";

/** transformers' own: fixed, whatever the configuration says. */
const HEAD_WIDTH = 32;
const STEM_KERNEL = 7;

/** Name and shape of each tensor that a configuration implies; a few of them the estimate never reads. */
export function expectedDepth(config: DptConfig): ShapeTable {
  const table: ShapeTable = new Map();
  backbone(table, "dpt.embeddings.backbone.bit", config);
  const { hiddenSize, positionGrid } = config;
  conv(table, "dpt.embeddings.projection", hiddenSize, config.backbone.hiddenSizes.at(-1)!, 1);
  table.set("dpt.embeddings.cls_token", [1, 1, hiddenSize]);
  table.set("dpt.embeddings.position_embeddings", [1, positionGrid ** 2 + 1, hiddenSize]);
  for (let i = 0; i < config.numHiddenLayers; i++)
    vitLayer(table, `dpt.encoder.layer.${i}`, config);
  norm(table, "dpt.layernorm", hiddenSize);
  reassemble(table, "neck.reassemble_stage", config);
  fusion(table, "neck", config);
  const width = config.fusionHiddenSize;
  conv(table, "head.head.0", Math.floor(width / 2), width, 3);
  conv(table, "head.head.2", HEAD_WIDTH, Math.floor(width / 2), 3);
  conv(table, "head.head.4", 1, HEAD_WIDTH, 1);
  return table;
}

function backbone(table: ShapeTable, path: string, { backbone: bit }: DptConfig) {
  const { numChannels, embeddingSize, hiddenSizes, depths } = bit;
  const normed = (at: string, name: string, out: number, input: number, size: number) => {
    bare(table, `${at}.conv${name}`, out, input, size);
    norm(table, `${at}.norm${name}`, out);
  };
  bare(table, `${path}.embedder.convolution`, embeddingSize, numChannels, STEM_KERNEL);
  norm(table, `${path}.embedder.norm`, embeddingSize);
  let input = embeddingSize;
  for (const [stage, depth] of depths.entries()) {
    const width = wholeEights(hiddenSizes[stage]!);
    const middle = wholeEights(width / 4);
    for (let i = 0; i < depth; i++) {
      const block = `${path}.encoder.stages.${stage}.layers.${i}`;
      if (i === 0) normed(`${block}.downsample`, "", width, input, 1);
      normed(block, "1", middle, i === 0 ? input : width, 1);
      normed(block, "2", middle, middle, 3);
      normed(block, "3", width, middle, 1);
    }
    input = width;
  }
}

/** The nearest multiple of eight, at least eight and not below nine tenths (`make_div`). */
function wholeEights(width: number): number {
  const nearest = Math.max(8, Math.floor((width + 4) / 8) * 8);
  return nearest < 0.9 * width ? nearest + 8 : nearest;
}

function vitLayer(table: ShapeTable, path: string, config: DptConfig) {
  const { hiddenSize, intermediateSize, qkvBias } = config;
  norm(table, `${path}.layernorm_before`, hiddenSize);
  for (const name of ["query", "key", "value"]) {
    linear(table, `${path}.attention.attention.${name}`, hiddenSize, hiddenSize, qkvBias);
  }
  linear(table, `${path}.attention.output.dense`, hiddenSize, hiddenSize);
  norm(table, `${path}.layernorm_after`, hiddenSize);
  linear(table, `${path}.intermediate.dense`, intermediateSize, hiddenSize);
  linear(table, `${path}.output.dense`, hiddenSize, intermediateSize);
}

function reassemble(table: ShapeTable, path: string, config: DptConfig) {
  const { hiddenSize, neckHiddenSizes, reassembleFactors } = config;
  for (const [i, factor] of reassembleFactors.entries()) {
    const width = neckHiddenSizes[i + 2]!;
    linear(table, `${path}.readout_projects.${i + 2}.0`, hiddenSize, 2 * hiddenSize);
    conv(table, `${path}.layers.${i + 2}.projection`, width, hiddenSize, 1);
    if (factor !== 1) conv(table, `${path}.layers.${i + 2}.resize`, width, width, 3);
  }
}

function fusion(table: ShapeTable, path: string, config: DptConfig) {
  const { neckHiddenSizes, fusionHiddenSize: width, fusionBias } = config;
  for (const [i, input] of neckHiddenSizes.entries()) {
    bare(table, `${path}.convs.${i}`, width, input, 3);
    const block = `${path}.fusion_stage.layers.${i}`;
    conv(table, `${block}.projection`, width, width, 1);
    for (const unit of ["residual_layer1", "residual_layer2"]) {
      for (const name of ["convolution1", "convolution2"]) {
        const add = fusionBias ? conv : bare;
        add(table, `${block}.${unit}.${name}`, width, width, 3);
      }
    }
  }
}

/** A convolution without a bias. */
function bare(table: ShapeTable, path: string, out: number, input: number, size: number) {
  table.set(`${path}.weight`, [out, input, size, size]);
}
