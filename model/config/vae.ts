/** vae/config.json: diffusers' AutoencoderKL. */
import {
  type ConfigFile,
  checkChoice,
  checkCount,
  choiceOf,
  configFault,
  configFile,
  countOf,
  flagOf,
  listOf,
  numberOf,
  type Refusal,
  refuseSettings,
} from "./fields.ts";

export interface VaeConfig {
  readonly inChannels: number;
  readonly outChannels: number;
  readonly latentChannels: number;
  /** From the finest level down; each level but the last halves height and width. */
  readonly blockOutChannels: readonly number[];
  readonly layersPerBlock: number;
  readonly normNumGroups: number;
  /** Latents are multiplied by this after encoding, and divided before decoding. */
  readonly scalingFactor: number;
  readonly sampleSize: number;
  /** The weights overflow in f16 where this holds: diffusers decodes in f32. */
  readonly forceUpcast: boolean;
  readonly midBlockAddAttention: boolean;
  readonly useQuantConv: boolean;
  readonly usePostQuantConv: boolean;
  /** What turns scaled latents into RGB for previews, where the file says it (ours: no key of diffusers). */
  readonly latentRgb?: LatentRgb;
}

/** factors [latent channels][3], bias [3]: RGB in [-1, 1]. */
export interface LatentRgb {
  readonly factors: readonly (readonly number[])[];
  readonly bias: readonly number[];
}

const DOWN = { DownEncoderBlock2D: "DownEncoderBlock2D" } as const;
const UP = { UpDecoderBlock2D: "UpDecoderBlock2D" } as const;
const SILU = { silu: "silu", swish: "silu" } as const;

const REFUSED: readonly Refusal[] = [
  ["shift_factor", null, "this looks like the VAE of SD3 or Flux"],
  ["latents_mean", null, "this looks like the VAE of another model"],
  ["latents_std", null, "this looks like the VAE of another model"],
];

/** The VAE's configuration. Throws CONFIG naming the file, the key and what was expected. */
export function vaeConfig(json: unknown, name = "vae/config.json"): VaeConfig {
  const file = configFile(json, name);
  refuseSettings(file, REFUSED);
  choiceOf(file, "act_fn", SILU, "silu");
  const config: VaeConfig = {
    inChannels: countOf(file, "in_channels", 3),
    outChannels: countOf(file, "out_channels", 3),
    latentChannels: countOf(file, "latent_channels", 4),
    blockOutChannels: listOf(file, "block_out_channels", [64], (...at) => checkCount(...at)),
    layersPerBlock: countOf(file, "layers_per_block", 1),
    normNumGroups: countOf(file, "norm_num_groups", 32),
    scalingFactor: numberOf(file, "scaling_factor", 0.18215),
    sampleSize: countOf(file, "sample_size", 32),
    forceUpcast: flagOf(file, "force_upcast", true),
    midBlockAddAttention: flagOf(file, "mid_block_add_attention", true),
    useQuantConv: flagOf(file, "use_quant_conv", true),
    usePostQuantConv: flagOf(file, "use_post_quant_conv", true),
    ...latentRgb(file.values),
  };
  checkBlocks(file, config);
  return config;
}

function checkBlocks(file: ConfigFile, config: VaeConfig): void {
  const { blockOutChannels: channels, normNumGroups, scalingFactor } = config;
  const types = {
    down_block_types: listOf(file, "down_block_types", [DOWN.DownEncoderBlock2D], (...at) =>
      checkChoice(...at, DOWN),
    ),
    up_block_types: listOf(file, "up_block_types", [UP.UpDecoderBlock2D], (...at) =>
      checkChoice(...at, UP),
    ),
  };
  for (const [key, { length }] of Object.entries(types)) {
    if (length !== channels.length) {
      throw configFault(
        file,
        key,
        file.values[key],
        `${channels.length} items, as block_out_channels has`,
      );
    }
  }
  for (const [i, width] of channels.entries()) {
    if (width % normNumGroups !== 0) {
      throw configFault(
        file,
        `block_out_channels[${i}]`,
        width,
        `a multiple of norm_num_groups, ${normNumGroups}`,
      );
    }
  }
  if (scalingFactor === 0) throw configFault(file, "scaling_factor", 0, "a number that is not 0");
}

/** Only previews need it: what is not of the form is as if it were not there. */
function latentRgb(values: ConfigFile["values"]): Pick<VaeConfig, "latentRgb"> {
  const { latent_rgb_factors: factors, latent_rgb_bias: bias } = values;
  const isRow = (row: unknown): row is number[] =>
    Array.isArray(row) && row.length === 3 && row.every(Number.isFinite);
  const known = Array.isArray(factors) && factors.length === 4 && factors.every(isRow);
  return known && isRow(bias) ? { latentRgb: { factors, bias } } : {};
}
