/** diffusers' config files from the shapes in a single file's header: what a yaml would have said. */
import { DiffusionError } from "../../engine/errors.ts";
import type { ModelKind } from "../detect.ts";

type Shapes = ReadonlyMap<string, { readonly shape: readonly number[] }>;
type Json = Readonly<Record<string, unknown>>;

/** What a header cannot show; the same in all of Stable Diffusion 2 but the x4 upscaler's UNet. */
const HEAD_DIM = 64;
const X4_HEADS = 8;
const SCALING_FACTOR = {
  base: 0.18215,
  inpainting: 0.18215,
  depth: 0.18215,
  "x4-upscaling": 0.08333,
};
/** The open_clip model has 24 layers, and "penultimate" stops before the last. */
const TEXT_LAYERS = 23;

/** unet/config.json. `sampleSize`: latent pixels of the pictures that it was trained on. */
export function unetJson(unet: Shapes, kind: ModelKind, sampleSize: number): Json {
  const at = lookUp(unet, "model.diffusion_model.");
  const levels = unetLevels(unet);
  const widths = levels.map(([first]) => at(`${first}.0.out_layers.3.weight`)[0]!);
  const withText = levels.map(([first]) => unet.has(`${first}.1.norm.weight`));
  const block = `${levels[withText.indexOf(true)]?.[0] ?? "middle_block"}.1`;
  const first = `${block}.transformer_blocks.0`;
  checkWidths("the UNet", widths);
  return {
    sample_size: sampleSize,
    in_channels: at("input_blocks.0.0.weight")[1],
    out_channels: at("out.2.weight")[0],
    block_out_channels: widths,
    layers_per_block: levels[0]?.length,
    down_block_types: withText.map((text) => (text ? "CrossAttnDownBlock2D" : "DownBlock2D")),
    up_block_types: withText
      .toReversed()
      .map((text) => (text ? "CrossAttnUpBlock2D" : "UpBlock2D")),
    transformer_layers_per_block: countOf(
      unet,
      (i) => `${block}.transformer_blocks.${i}.norm1.weight`,
    ),
    attention_head_dim:
      kind === "x4-upscaling" ? X4_HEADS : widths.map((width) => width / HEAD_DIM),
    cross_attention_dim: at(`${first}.attn2.to_k.weight`)[1],
    only_cross_attention: levels.map(([block], i) => seesTextOnly(unet, `${block}`, widths[i]!)),
    use_linear_projection: at(`${block}.proj_in.weight`).length === 2,
    num_class_embeds: unet.get("label_emb.weight")?.shape[0] ?? null,
    time_embedding_dim: at("time_embed.0.weight")[0],
  };
}

/** The blocks with resnets, level by level: `op` ends a level. */
function unetLevels(unet: Shapes): string[][] {
  const levels: string[][] = [[]];
  for (let i = 1; ; i++) {
    const block = `input_blocks.${i}`;
    if (unet.has(`${block}.0.op.weight`)) levels.push([]);
    else if (unet.has(`${block}.0.in_layers.0.weight`)) levels.at(-1)!.push(block);
    else return levels;
  }
}

/** `disable_self_attentions`: the first attention takes its keys from something of another width. */
function seesTextOnly(unet: Shapes, block: string, width: number): boolean {
  const keys = unet.get(`${block}.1.transformer_blocks.0.attn1.to_k.weight`);
  return keys !== undefined && keys.shape[1] !== width;
}

/** vae/config.json. */
export function vaeJson(vae: Shapes, kind: ModelKind, sampleSize: number): Json {
  const at = lookUp(vae, "first_stage_model.");
  const levels = countOf(vae, (i) => `encoder.down.${i}.block.0.norm1.weight`);
  const widths = Array.from(
    { length: levels },
    (_, i) => at(`encoder.down.${i}.block.0.conv2.weight`)[0]!,
  );
  checkWidths("the VAE", widths, 32);
  return {
    in_channels: at("encoder.conv_in.weight")[1],
    out_channels: at("decoder.conv_out.weight")[0],
    latent_channels: at("post_quant_conv.weight")[0],
    block_out_channels: widths,
    down_block_types: widths.map(() => "DownEncoderBlock2D"),
    up_block_types: widths.map(() => "UpDecoderBlock2D"),
    layers_per_block: countOf(vae, (i) => `encoder.down.0.block.${i}.norm1.weight`),
    scaling_factor: SCALING_FACTOR[kind],
    sample_size: sampleSize * 2 ** (levels - 1),
  };
}

/** text_encoder/config.json: OpenCLIP's text tower with exact GELU. */
export function textJson(text: Shapes): Json {
  const at = lookUp(text, "cond_stage_model.model.");
  const [vocabSize, width] = at("token_embedding.weight") as [number, number];
  checkWidths("the text encoder", [width]);
  const layers = countOf(text, (i) => `transformer.resblocks.${i}.ln_1.weight`);
  return {
    vocab_size: vocabSize,
    hidden_size: width,
    intermediate_size: at("transformer.resblocks.0.mlp.c_fc.weight")[0],
    num_hidden_layers: Math.min(layers, TEXT_LAYERS),
    num_attention_heads: width / HEAD_DIM,
    max_position_embeddings: at("positional_embedding")[0],
    hidden_act: "gelu",
    bos_token_id: vocabSize - 2,
    eos_token_id: vocabSize - 1,
    pad_token_id: 0,
  };
}

function countOf(shapes: Shapes, name: (index: number) => string): number {
  let count = 0;
  while (shapes.has(name(count))) count++;
  return count;
}

/** The shape of a tensor that must be there. Throws WEIGHTS_MISMATCH naming it in full. */
function lookUp(shapes: Shapes, prefix: string): (name: string) => readonly number[] {
  return (name) => {
    const found = shapes.get(name);
    if (found) return found.shape;
    throw new DiffusionError("WEIGHTS_MISMATCH", `the file has no tensor ${prefix}${name}`, {
      hint: "it is incomplete, or not Stable Diffusion 2; `wgsl-diffusion inspect FILE` lists it",
    });
  };
}

/** Heads and groups of norms leave no trace in a header: widths that SD2's do not divide need files. */
function checkWidths(what: string, widths: readonly number[], multiple = HEAD_DIM): void {
  const wrong = widths.find((width) => width % multiple !== 0 || width === 0);
  if (wrong === undefined && widths.length > 0) return;
  const message = `${what} is ${wrong ?? "nothing"} wide (levels: ${widths.join(", ")}); Stable Diffusion 2's are multiples of ${multiple}`;
  throw new DiffusionError("CONFIG", message, {
    hint: "give the configuration of such a model as a folder of diffusers' files: --config DIR",
  });
}
