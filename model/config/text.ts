/** text_encoder/config.json: transformers' CLIPTextConfig. */
import {
  checkCount,
  choiceOf,
  configFault,
  configFile,
  countOf,
  numberOf,
  rawValue,
} from "./fields.ts";

export interface TextConfig {
  readonly vocabSize: number;
  readonly hiddenSize: number;
  readonly intermediateSize: number;
  /** SD2's folders say 23: its 24th layer is never run. */
  readonly numHiddenLayers: number;
  readonly numAttentionHeads: number;
  readonly maxPositionEmbeddings: number;
  /** The form of GELU, as the op names it: `none` is exact (erf), `quick` x·σ(1.702x). */
  readonly geluApproximate: "none" | "tanh" | "quick";
  readonly layerNormEps: number;
  readonly bosTokenId: number;
  readonly eosTokenId: number;
  readonly padTokenId: number;
}

/** transformers' names for the three functions (activations.py). */
const ACTIVATIONS = {
  gelu: "none",
  gelu_python: "none",
  gelu_new: "tanh",
  gelu_fast: "tanh",
  gelu_accurate: "tanh",
  gelu_pytorch_tanh: "tanh",
  gelu_python_tanh: "tanh",
  quick_gelu: "quick",
} as const;

/** The text encoder's configuration. Throws CONFIG naming the file, the key and what was expected. */
export function textConfig(json: unknown, name = "text_encoder/config.json"): TextConfig {
  const file = configFile(json, name);
  const eos = rawValue(file, "eos_token_id", 49407);
  const config: TextConfig = {
    vocabSize: countOf(file, "vocab_size", 49408),
    hiddenSize: countOf(file, "hidden_size", 512),
    intermediateSize: countOf(file, "intermediate_size", 2048),
    numHiddenLayers: countOf(file, "num_hidden_layers", 12),
    numAttentionHeads: countOf(file, "num_attention_heads", 8),
    maxPositionEmbeddings: countOf(file, "max_position_embeddings", 77),
    geluApproximate: choiceOf(file, "hidden_act", ACTIVATIONS, "quick_gelu"),
    layerNormEps: numberOf(file, "layer_norm_eps", 1e-5),
    bosTokenId: countOf(file, "bos_token_id", 49406, 0),
    eosTokenId: checkCount(file, "eos_token_id", Array.isArray(eos) ? eos[0] : eos, 0),
    padTokenId: countOf(file, "pad_token_id", 1, 0),
  };
  if (config.hiddenSize % config.numAttentionHeads !== 0) {
    const expected = `a divisor of hidden_size, ${config.hiddenSize}`;
    throw configFault(file, "num_attention_heads", config.numAttentionHeads, expected);
  }
  return config;
}
