/**
 * The original's names of tensors become diffusers': tables of rules, applied from the top down.
 *
 * Sources: diffusers' single_file_utils.py and the classes of Stability-AI/stablediffusion
 * (openaimodel.py, model.py) and open_clip, which name the blocks by their place in a list.
 */
import type { WeightPart } from "../names.ts";

/** What places in a list depend on. */
export interface LdmSizes {
  /** UNet: resnets to a level on the way down. */
  readonly layersPerBlock: number;
  /** VAE: levels, which its decoder counts from the finest and diffusers from the coarsest. */
  readonly vaeLevels: number;
}

type Rule = readonly [from: RegExp, to: string | ((sizes: LdmSizes, index: number) => string)];

/** A level of the UNet has its resnets and one more entry: the downsampler, or the third resnet up. */
const period = ({ layersPerBlock }: LdmSizes) => layersPerBlock + 1;
/** The block and the place in it of entry `index` of a list whose first entry belongs to no block. */
const down = (sizes: LdmSizes, index: number) => place(sizes, index - 1, "down_blocks");
const up = (sizes: LdmSizes, index: number) => place(sizes, index, "up_blocks");

function place(sizes: LdmSizes, index: number, blocks: string) {
  const block = `${blocks}.${Math.floor(index / period(sizes))}`;
  return { block, layer: index % period(sizes) };
}

const UNET: readonly Rule[] = [
  [/^time_embed\.0\./, "time_embedding.linear_1."],
  [/^time_embed\.2\./, "time_embedding.linear_2."],
  [/^label_emb\.weight$/, "class_embedding.weight"],
  [/^out\.0\./, "conv_norm_out."],
  [/^out\.2\./, "conv_out."],
  [/^middle_block\.0\./, "mid_block.resnets.0."],
  [/^middle_block\.1\./, "mid_block.attentions.0."],
  [/^middle_block\.2\./, "mid_block.resnets.1."],
  [/^input_blocks\.0\.0\./, "conv_in."],
  [/^input_blocks\.(\d+)\.0\.op\./, (s, i) => `${down(s, i).block}.downsamplers.0.conv.`],
  [/^input_blocks\.(\d+)\.0\./, (s, i) => `${down(s, i).block}.resnets.${down(s, i).layer}.`],
  [/^input_blocks\.(\d+)\.1\./, (s, i) => `${down(s, i).block}.attentions.${down(s, i).layer}.`],
  // After the transformer, or in its place on a level that has none.
  [/^output_blocks\.(\d+)\.[12]\.conv\./, (s, i) => `${up(s, i).block}.upsamplers.0.conv.`],
  [/^output_blocks\.(\d+)\.0\./, (s, i) => `${up(s, i).block}.resnets.${up(s, i).layer}.`],
  [/^output_blocks\.(\d+)\.1\./, (s, i) => `${up(s, i).block}.attentions.${up(s, i).layer}.`],
  [/\.in_layers\.0\./, ".norm1."],
  [/\.in_layers\.2\./, ".conv1."],
  [/\.emb_layers\.1\./, ".time_emb_proj."],
  [/\.out_layers\.0\./, ".norm2."],
  [/\.out_layers\.3\./, ".conv2."],
  [/\.skip_connection\./, ".conv_shortcut."],
];

const coarsestFirst = ({ vaeLevels }: LdmSizes, index: number) =>
  `decoder.up_blocks.${vaeLevels - 1 - index}.`;

const VAE: readonly Rule[] = [
  [/^encoder\.down\.(\d+)\./, "encoder.down_blocks.$1."],
  [/^decoder\.up\.(\d+)\./, coarsestFirst],
  [/_blocks\.(\d+)\.block\./, "_blocks.$1.resnets."],
  [/\.(down|up)sample\.conv\./, ".$1samplers.0.conv."],
  [/\.mid\.block_1\./, ".mid_block.resnets.0."],
  [/\.mid\.block_2\./, ".mid_block.resnets.1."],
  [/\.mid\.attn_1\.norm\./, ".mid_block.attentions.0.group_norm."],
  [/\.mid\.attn_1\.([qkv])\./, ".mid_block.attentions.0.to_$1."],
  [/\.mid\.attn_1\.proj_out\./, ".mid_block.attentions.0.to_out.0."],
  [/\.nin_shortcut\./, ".conv_shortcut."],
  [/\.norm_out\./, ".conv_norm_out."],
];

const TEXT: readonly Rule[] = [
  [/^positional_embedding$/, "embeddings.position_embedding.weight"],
  [/^token_embedding\./, "embeddings.token_embedding."],
  [/^ln_final\./, "final_layer_norm."],
  [/^transformer\.resblocks\.(\d+)\./, "encoder.layers.$1."],
  [/\.ln_1\./, ".layer_norm1."],
  [/\.ln_2\./, ".layer_norm2."],
  [/\.mlp\.c_fc\./, ".mlp.fc1."],
  [/\.mlp\.c_proj\./, ".mlp.fc2."],
  [/\.attn\./, ".self_attn."],
];

const RULES: Readonly<Record<WeightPart, readonly Rule[]>> = {
  text_encoder: TEXT,
  unet: UNET,
  vae: VAE,
};

/** diffusers' name of a tensor of `part`; a name that no rule knows stays as it is. */
export function diffusersName(part: WeightPart, name: string, sizes: LdmSizes): string {
  return RULES[part].reduce((text, [from, to]) => {
    if (typeof to === "string") return text.replace(from, to);
    return text.replace(from, (_, index: string) => to(sizes, Number(index)));
  }, name);
}
