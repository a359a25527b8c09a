/** unet/config.json: diffusers' UNet2DConditionModel. Lists run from the first (finest) level down. */
import {
  type ConfigFile,
  checkChoice,
  checkCount,
  checkFlag,
  choiceOf,
  configFault,
  configFile,
  countOf,
  flagOf,
  listOf,
  numberOf,
  optionalCount,
  perLevel,
  type Refusal,
  rawValue,
  refuseSettings,
} from "./fields.ts";

export interface UnetConfig {
  /** Latent height and width that the model was trained on; null if the file does not say. */
  readonly sampleSize: readonly [height: number, width: number] | null;
  readonly inChannels: number;
  readonly outChannels: number;
  readonly blockOutChannels: readonly number[];
  readonly downBlockTypes: readonly ("CrossAttnDownBlock2D" | "DownBlock2D")[];
  /** In the order that they run, coarsest level first. */
  readonly upBlockTypes: readonly ("CrossAttnUpBlock2D" | "UpBlock2D")[];
  readonly layersPerBlock: readonly number[];
  readonly transformerLayersPerBlock: readonly number[];
  /** Heads a level. diffusers calls this key `attention_head_dim`, by an old mistake. */
  readonly numAttentionHeads: readonly number[];
  readonly crossAttentionDim: readonly number[];
  /** Levels whose first attention looks at the text too (x4 upscaler). */
  readonly onlyCrossAttention: readonly boolean[];
  readonly useLinearProjection: boolean;
  readonly upcastAttention: boolean;
  readonly numClassEmbeds: number | null;
  readonly timeEmbeddingDim: number;
  readonly flipSinToCos: boolean;
  readonly freqShift: number;
  readonly centerInputSample: boolean;
  /** 1: symmetric. 0: one row below and one column to the right. */
  readonly downsamplePadding: number;
  readonly normNumGroups: number;
  readonly normEps: number;
}

const DOWN = { CrossAttnDownBlock2D: "CrossAttnDownBlock2D", DownBlock2D: "DownBlock2D" } as const;
const UP = { CrossAttnUpBlock2D: "CrossAttnUpBlock2D", UpBlock2D: "UpBlock2D" } as const;
const SILU = { silu: "silu", swish: "silu" } as const;

const REFUSED: readonly Refusal[] = [
  ["addition_embed_type", null, "this looks like an SDXL UNet"],
  ["class_embed_type", null, "image embeddings, as unCLIP has them, are not implemented"],
  ["encoder_hid_dim", null, "this looks like a Kandinsky or DeepFloyd UNet"],
  ["encoder_hid_dim_type", null, "this looks like a Kandinsky or DeepFloyd UNet"],
  ["time_cond_proj_dim", null, "this looks like a latent consistency model"],
  ["num_attention_heads", null, "diffusers itself refuses it: heads go in attention_head_dim"],
  ["mid_block_type", "UNetMidBlock2DCrossAttn", "other middle blocks are not implemented"],
  ["mid_block_scale_factor", 1, "scaled residuals are not implemented"],
  ["resnet_out_scale_factor", 1, "scaled residuals are not implemented"],
  ["resnet_time_scale_shift", "default", "scale-shift norms are not implemented"],
  ["resnet_skip_time_act", false, "it is not implemented"],
  ["time_embedding_type", "positional", "Fourier embeddings are not implemented"],
  ["time_embedding_act_fn", null, "it is not implemented"],
  ["timestep_post_act", null, "it is not implemented"],
  ["class_embeddings_concat", false, "it is not implemented"],
  ["cross_attention_norm", null, "it is not implemented"],
  ["dual_cross_attention", false, "Versatile Diffusion is not implemented"],
  ["attention_type", "default", "GLIGEN is not implemented"],
  ["reverse_transformer_layers_per_block", null, "asymmetric UNets are not implemented"],
  ["conv_in_kernel", 3, "other kernels are not implemented"],
  ["conv_out_kernel", 3, "other kernels are not implemented"],
];

/** The UNet's configuration. Throws CONFIG naming the file, the key and what was expected. */
export function unetConfig(json: unknown, name = "unet/config.json"): UnetConfig {
  const file = configFile(json, name);
  refuseSettings(file, REFUSED);
  choiceOf(file, "act_fn", SILU, "silu");
  const config = readLevels(file);
  checkLevels(file, config);
  return config;
}

function readLevels(file: ConfigFile): UnetConfig {
  const blockOutChannels = listOf(file, "block_out_channels", [320, 640, 1280, 1280], checkCount1);
  const levels = blockOutChannels.length;
  const counts = (key: string, fallback: number) =>
    perLevel(file, key, levels, fallback, checkCount1);
  return {
    sampleSize: sampleSize(file),
    inChannels: countOf(file, "in_channels", 4),
    outChannels: countOf(file, "out_channels", 4),
    blockOutChannels,
    downBlockTypes: listOf(file, "down_block_types", DEFAULT_DOWN, (...at) =>
      checkChoice(...at, DOWN),
    ),
    upBlockTypes: listOf(file, "up_block_types", DEFAULT_UP, (...at) => checkChoice(...at, UP)),
    layersPerBlock: counts("layers_per_block", 2),
    transformerLayersPerBlock: counts("transformer_layers_per_block", 1),
    numAttentionHeads: counts("attention_head_dim", 8),
    crossAttentionDim: counts("cross_attention_dim", 1280),
    onlyCrossAttention: perLevel(file, "only_cross_attention", levels, false, checkFlag),
    useLinearProjection: flagOf(file, "use_linear_projection", false),
    upcastAttention: flagOf(file, "upcast_attention", false),
    numClassEmbeds: optionalCount(file, "num_class_embeds"),
    timeEmbeddingDim: optionalCount(file, "time_embedding_dim") ?? 4 * blockOutChannels[0]!,
    flipSinToCos: flagOf(file, "flip_sin_to_cos", true),
    freqShift: numberOf(file, "freq_shift", 0),
    centerInputSample: flagOf(file, "center_input_sample", false),
    downsamplePadding: countOf(file, "downsample_padding", 1, 0),
    normNumGroups: countOf(file, "norm_num_groups", 32),
    normEps: numberOf(file, "norm_eps", 1e-5),
  };
}

const DEFAULT_DOWN = [
  DOWN.CrossAttnDownBlock2D,
  DOWN.CrossAttnDownBlock2D,
  DOWN.CrossAttnDownBlock2D,
  DOWN.DownBlock2D,
];
const DEFAULT_UP = [
  UP.UpBlock2D,
  UP.CrossAttnUpBlock2D,
  UP.CrossAttnUpBlock2D,
  UP.CrossAttnUpBlock2D,
];

function checkCount1(file: ConfigFile, key: string, value: unknown): number {
  return checkCount(file, key, value, 1);
}

function sampleSize(file: ConfigFile): UnetConfig["sampleSize"] {
  const value = rawValue(file, "sample_size", null);
  if (value === null) return null;
  const [height, width] = perLevel(file, "sample_size", 2, 0, checkCount1);
  return [height!, width!];
}

/** What diffusers' own constructor refuses, or PyTorch's GroupNorm and attention after it. */
function checkLevels(file: ConfigFile, config: UnetConfig): void {
  const { blockOutChannels: channels, downsamplePadding, normNumGroups } = config;
  for (const [key, types] of [
    ["down_block_types", config.downBlockTypes],
    ["up_block_types", config.upBlockTypes],
  ] as const) {
    if (types.length !== channels.length) {
      throw configFault(file, key, types, `${channels.length} items, as block_out_channels has`);
    }
  }
  if (downsamplePadding > 1) {
    throw configFault(file, "downsample_padding", downsamplePadding, "0 or 1");
  }
  for (const [i, width] of channels.entries()) {
    const heads = config.numAttentionHeads[i]!;
    if (width % normNumGroups !== 0) {
      throw configFault(
        file,
        `block_out_channels[${i}]`,
        width,
        `a multiple of norm_num_groups, ${normNumGroups}`,
      );
    }
    if (width % heads !== 0) {
      throw configFault(
        file,
        `attention_head_dim[${i}]`,
        heads,
        `a number of heads that divides ${width}`,
      );
    }
  }
}
