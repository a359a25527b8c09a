/** The names that MiDaS and timm gave, as they lie in Stable Diffusion 2's single-file depth checkpoint. */
import { DiffusionError } from "../../engine/errors.ts";
import type { StoredTensor } from "../../engine/safetensors.ts";
import { type DptConfig, dptConfig } from "./config.ts";

/** What the file, which has no configuration, holds: MiDaS's dpt_hybrid, as transformers configures it. */
export const MIDAS_HYBRID: DptConfig = dptConfig({
  is_hybrid: true,
  neck_hidden_sizes: [256, 512, 768, 768],
  reassemble_factors: [1, 1, 1, 0.5],
});

const BIT = "dpt.embeddings.backbone.bit";
const STEM = /^pretrained\.model\.patch_embed\.backbone\.stem\./;
const STAGE = /^pretrained\.model\.patch_embed\.backbone\.stages\.(\d+)\.blocks\.(\d+)\./;
const BLOCK = /^pretrained\.model\.blocks\.(\d+)\./;
const LAYER = "dpt.encoder.layer.$1.";

/** Applied one after another; `$1-1` and `4-$1` count from another end. */
const RENAMINGS: readonly (readonly [from: RegExp, to: string])[] = [
  [/^(?:depth_model\.)?(?:model\.)?/, ""],
  [new RegExp(`${STEM.source}conv\\.`), `${BIT}.embedder.convolution.`],
  [new RegExp(`${STEM.source}norm\\.`), `${BIT}.embedder.norm.`],
  [STAGE, `${BIT}.encoder.stages.$1.layers.$2.`],
  [/^pretrained\.model\.patch_embed\.proj\./, "dpt.embeddings.projection."],
  [/^pretrained\.model\.cls_token$/, "dpt.embeddings.cls_token"],
  [/^pretrained\.model\.pos_embed$/, "dpt.embeddings.position_embeddings"],
  [new RegExp(`${BLOCK.source}norm1\\.`), `${LAYER}layernorm_before.`],
  [new RegExp(`${BLOCK.source}norm2\\.`), `${LAYER}layernorm_after.`],
  [new RegExp(`${BLOCK.source}attn\\.qkv\\.`), `${LAYER}attention.attention.qkv.`],
  [new RegExp(`${BLOCK.source}attn\\.proj\\.`), `${LAYER}attention.output.dense.`],
  [new RegExp(`${BLOCK.source}mlp\\.fc1\\.`), `${LAYER}intermediate.dense.`],
  [new RegExp(`${BLOCK.source}mlp\\.fc2\\.`), `${LAYER}output.dense.`],
  [/^pretrained\.model\.norm\./, "dpt.layernorm."],
  [
    /^pretrained\.act_postprocess([34])\.0\.project\.0\./,
    "neck.reassemble_stage.readout_projects.$1-1.0.",
  ],
  [/^pretrained\.act_postprocess([34])\.3\./, "neck.reassemble_stage.layers.$1-1.projection."],
  [/^pretrained\.act_postprocess([34])\.4\./, "neck.reassemble_stage.layers.$1-1.resize."],
  [/^scratch\.layer([1-4])_rn\./, "neck.convs.$1-1."],
  [/^scratch\.refinenet([1-4])\./, "neck.fusion_stage.layers.4-$1."],
  [/\.resConfUnit([12])\.conv([12])\./, ".residual_layer$1.convolution$2."],
  [/\.out_conv\./, ".projection."],
  [/^scratch\.output_conv\./, "head.head."],
  [/(?<=\.)(\d)-(\d)(?=\.)/, "-"],
];

/** ImageNet's classes, which timm's ViT brings along and nobody asks for. */
const IGNORED = /^pretrained\.model\.head\./;

/** In the order of their rows. */
const PROJECTIONS = ["query", "key", "value"] as const;
const JOINED = /\.qkv\.(weight|bias)$/;

/**
 * The tensors `depth_model.model.*` of a single file under transformers' names; nothing is read yet, and
 * queries, keys and values become ranges of the file's one matrix. A name that is not known stays, for the
 * check of the weights to name. Throws WEIGHTS_MISMATCH if two tensors get one name or qkv is not three.
 */
export function depthFromLdm(
  tensors: ReadonlyMap<string, StoredTensor>,
): ReadonlyMap<string, StoredTensor> {
  const renamed = new Map<string, StoredTensor>();
  for (const [stored, tensor] of tensors) {
    const name = transformersName(stored);
    if (IGNORED.test(name)) continue;
    for (const part of JOINED.test(name) ? thirds(name, tensor) : [{ ...tensor, name }]) {
      if (renamed.has(part.name)) throw mismatch(`two tensors are called ${part.name}`);
      renamed.set(part.name, part);
    }
  }
  return renamed;
}

function transformersName(stored: string): string {
  return RENAMINGS.reduce(
    (name, [from, to]) =>
      to === "-" ? name.replace(from, (_, a, b) => String(a - b)) : name.replace(from, to),
    stored,
  );
}

/** Rows of one matrix [3C, C], or one bias [3C], as three tensors. */
function thirds(name: string, tensor: StoredTensor): StoredTensor[] {
  const [rows, ...rest] = tensor.shape;
  if (rows === undefined || rows % PROJECTIONS.length !== 0) {
    throw mismatch(`${name} is [${tensor.shape}]; expected three times as many rows as channels`);
  }
  const byteLength = tensor.byteLength / PROJECTIONS.length;
  return PROJECTIONS.map((projection, i) => ({
    name: name.replace(JOINED, `.${projection}.$1`),
    dtype: tensor.dtype,
    shape: [rows / PROJECTIONS.length, ...rest],
    byteLength,
    read: (offset, length) => tensor.read(i * byteLength + offset, length),
  }));
}

function mismatch(what: string): DiffusionError {
  return new DiffusionError("WEIGHTS_MISMATCH", `depth_estimator: ${what.slice(0, 200)}`);
}
