/** depth_estimator/config.json: transformers' DPTConfig of a hybrid, a ViT on a BiT ResNetV2. */
import {
  type ConfigFile,
  checkCount,
  choiceOf,
  configFault,
  configFile,
  countOf,
  flagOf,
  listOf,
  numberOf,
  type Refusal,
  rawValue,
  refuseSettings,
} from "../config/fields.ts";

export interface BitConfig {
  readonly numChannels: number;
  readonly embeddingSize: number;
  /** One for each of the three stages. */
  readonly hiddenSizes: readonly number[];
  readonly depths: readonly number[];
  readonly numGroups: number;
}

export interface DptConfig {
  readonly backbone: BitConfig;
  readonly hiddenSize: number;
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly intermediateSize: number;
  readonly layerNormEps: number;
  readonly qkvBias: boolean;
  /** Pixels to a side of a token. */
  readonly patchSize: number;
  /** Tokens to a side of the square that the position embedding was trained on. */
  readonly positionGrid: number;
  /** The two layers of the ViT whose results are used, counted from 0. */
  readonly hooks: readonly number[];
  /** Of the two results from the ViT: 1, or 0.5 for half the size. */
  readonly reassembleFactors: readonly number[];
  /** Widths of the four features, finest first. */
  readonly neckHiddenSizes: readonly number[];
  readonly fusionHiddenSize: number;
  readonly fusionBias: boolean;
}

/** The depth estimator's input is halved as often as to reach half a token grid. */
export function inputMultiple({ patchSize }: DptConfig): number {
  return 2 * patchSize;
}

/** What three stages of a ResNet make of a picture: 1/2 by the stem, the pool and the later two stages. */
const BACKBONE_STRIDE = 16;
const STAGES = 3;

const REFUSED: readonly Refusal[] = [
  ["is_hybrid", true, "only DPT-hybrid is implemented"],
  ["patch_size", BACKBONE_STRIDE, "the stride of the backbone"],
  ["readout_type", "project", "as every hybrid"],
  ["hidden_act", "gelu", "not implemented"],
  ["head_in_index", -1, "not implemented"],
  ["use_batch_norm_in_fusion_residual", false, "not implemented"],
  ["add_projection", false, "not implemented"],
];

const REFUSED_BACKBONE: readonly Refusal[] = [
  ["model_type", "bit", "only BiT is implemented"],
  ["embedding_dynamic_padding", true, "as every hybrid"],
  ["hidden_act", "relu", "not implemented"],
  ["output_stride", 32, "not implemented"],
  ["width_factor", 1, "not implemented"],
];

/** What transformers takes where a hybrid's config.json has no backbone_config. */
const DEFAULT_BACKBONE = {
  model_type: "bit",
  global_padding: "same",
  layer_type: "bottleneck",
  depths: [3, 4, 9],
  out_features: ["stage1", "stage2", "stage3"],
  embedding_dynamic_padding: true,
};

/** The configuration of a DPT-hybrid. Throws CONFIG naming the file, the key and what was expected. */
export function dptConfig(json: unknown, name = "depth_estimator/config.json"): DptConfig {
  const file = configFile(json, name);
  if (!Object.hasOwn(file.values, "is_hybrid")) throw configFault(file, "is_hybrid", null, "true");
  refuseSettings(file, REFUSED);
  const backbone = bitConfig(rawValue(file, "backbone_config", null), `${name}: backbone_config`);
  const count = (key: string, fallback: readonly number[]) =>
    listOf(file, key, fallback, (...at) => checkCount(...at, 0));
  const ignored = count("neck_ignore_stages", [0, 1]);
  if (ignored.join() !== "0,1") throw configFault(file, "neck_ignore_stages", ignored, "[0,1]");
  const config: DptConfig = {
    backbone,
    hiddenSize: countOf(file, "hidden_size", 768),
    numHiddenLayers: countOf(file, "num_hidden_layers", 12),
    numAttentionHeads: countOf(file, "num_attention_heads", 12),
    intermediateSize: countOf(file, "intermediate_size", 3072),
    layerNormEps: numberOf(file, "layer_norm_eps", 1e-12),
    qkvBias: flagOf(file, "qkv_bias", true),
    patchSize: BACKBONE_STRIDE,
    positionGrid: Math.floor(imageSize(file) / BACKBONE_STRIDE),
    hooks: count("backbone_out_indices", [2, 5, 8, 11]).slice(2),
    reassembleFactors: factors(file).slice(2),
    neckHiddenSizes: count("neck_hidden_sizes", [96, 192, 384, 768]),
    fusionHiddenSize: countOf(file, "fusion_hidden_size", 256, 2),
    fusionBias: rawValue(file, "use_bias_in_fusion_residual", null) !== false,
  };
  checkTogether(file, config);
  return config;
}

/** Pictures of transformers' hybrids are square. */
function imageSize(file: ConfigFile): number {
  const value = rawValue(file, "image_size", 384);
  const sides = Array.isArray(value) ? value : [value, value];
  if (sides.length !== 2 || sides[0] !== sides[1]) {
    throw configFault(file, "image_size", value, "one number, or two that are equal");
  }
  return checkCount(file, "image_size", sides[0], BACKBONE_STRIDE);
}

function factors(file: ConfigFile): readonly number[] {
  return listOf(file, "reassemble_factors", [4, 2, 1, 0.5], (...[, key, value]) => {
    // The first two belong to the backbone's stages, which stay as they are.
    if (/\[[01]\]$/.test(key) || value === 1 || value === 0.5) return Number(value);
    throw configFault(file, key, value, "1 or 0.5");
  });
}

function bitConfig(json: unknown, name: string): BitConfig {
  const file = configFile(json ?? DEFAULT_BACKBONE, name);
  const count = (key: string, fallback: readonly number[]) =>
    listOf(file, key, fallback, (...at) => checkCount(...at));
  refuseSettings(file, REFUSED_BACKBONE);
  choiceOf(file, "layer_type", { bottleneck: true }, "preactivation");
  choiceOf(file, "global_padding", { SAME: true, same: true }, "none");
  const depths = count("depths", [3, 4, 6, 3]);
  const hiddenSizes = count("hidden_sizes", [256, 512, 1024, 2048]);
  const features = rawValue(file, "out_features", null);
  if (depths.length !== STAGES) throw configFault(file, "depths", depths, `${STAGES} items`);
  if (hiddenSizes.length < STAGES) {
    throw configFault(file, "hidden_sizes", hiddenSizes, `at least ${STAGES} items`);
  }
  if (JSON.stringify(features) !== JSON.stringify(DEFAULT_BACKBONE.out_features)) {
    throw configFault(file, "out_features", features, "stage1, stage2, stage3");
  }
  return {
    numChannels: countOf(file, "num_channels", 3),
    embeddingSize: countOf(file, "embedding_size", 64),
    hiddenSizes: hiddenSizes.slice(0, STAGES),
    depths,
    numGroups: countOf(file, "num_groups", 32),
  };
}

function checkTogether(file: ConfigFile, config: DptConfig): void {
  const { hiddenSize, numAttentionHeads, numHiddenLayers, hooks, neckHiddenSizes } = config;
  const { backbone, reassembleFactors } = config;
  if (hiddenSize % numAttentionHeads !== 0) {
    throw configFault(
      file,
      "num_attention_heads",
      numAttentionHeads,
      `a divisor of hidden_size, ${hiddenSize}`,
    );
  }
  const [first, second] = hooks;
  if (hooks.length !== 2 || !(first! < second! && second! < numHiddenLayers)) {
    const expected = `four items, the last two rising and below ${numHiddenLayers}`;
    throw configFault(file, "backbone_out_indices", file.values.backbone_out_indices, expected);
  }
  const widths = backbone.hiddenSizes.slice(0, 2);
  if (neckHiddenSizes.length !== 4 || widths.some((width, i) => width !== neckHiddenSizes[i])) {
    throw configFault(
      file,
      "neck_hidden_sizes",
      neckHiddenSizes,
      `four items, the first two those of the backbone's stages, ${widths}`,
    );
  }
  if (reassembleFactors.join() !== "1,0.5") {
    // The fusion blocks double the size from one feature to the next.
    throw configFault(file, "reassemble_factors", reassembleFactors, "1 and 0.5 at the end");
  }
}
