/** A checkpoint ready for use: its configurations, its tokenizer, its weights by path. */
import { Weights } from "../engine/parameters.ts";
import type { StoredTensor } from "../engine/safetensors.ts";
import type { TextConfig, UnetConfig, VaeConfig } from "./config.ts";
import { depthFromLdm, dptProcessor, expectedDepth, MIDAS_HYBRID } from "./depth/index.ts";
import type { Detected } from "./detect.ts";
import { checkWeights } from "./expected.ts";
import { knownWords } from "./known-words.ts";
import type { ModelFolder } from "./model-folder.ts";
import type { LoadEvent } from "./request.ts";
import type { Estimator } from "./tasks/depth-channel.ts";
import { LOW_RES_SCHEDULER } from "./tasks/noise-level.ts";
import { createTokenizer, type Tokenizer } from "./tokenizer.ts";

export interface Part<Config> {
  readonly config: Config;
  readonly weights: Weights;
}

export interface Checkpoint extends AsyncDisposable {
  readonly name: string;
  readonly text: Part<TextConfig>;
  readonly unet: Part<UnetConfig>;
  readonly vae: Part<VaeConfig>;
  readonly tokenizer: Tokenizer;
  /** All that it was taught, where its tokenizer lists that. */
  readonly knownWords: ReadonlySet<string> | undefined;
  readonly scheduler: ModelFolder["scheduler"];
  /** The x4 upscaler's, for the picture that it enlarges. */
  readonly lowResScheduler: Readonly<Record<string, unknown>>;
  readonly maxNoiseLevel: number;
  /** A depth checkpoint's, if it comes with one. */
  readonly estimator: Estimator | undefined;
  /** What the model is: its kind, what it predicts, who says so. */
  readonly detected: Detected;
  readonly warnings: readonly string[];
  /** Picture pixels to a side of a latent pixel. */
  readonly factor: number;
}

type Tensors = ReadonlyMap<string, StoredTensor>;

/**
 * Reads every header and checks it against the configuration; no weight yet. `onProgress` hears of each
 * piece of a weight that is read later. Throws WEIGHTS_…, CONFIG, TOKENIZER.
 */
export async function openCheckpoint(
  folder: ModelFolder,
  onProgress: (event: LoadEvent) => void = () => undefined,
): Promise<Checkpoint> {
  const part = async <Config>(
    name: string,
    from: { config: Config; tensors(): Promise<Tensors> },
  ) => {
    const tensors = counted(await from.tensors(), name, onProgress);
    return { config: from.config, weights: Weights.of(name, tensors) };
  };
  const depth = folder.depthEstimator ?? estimatorInFile(folder.depth);
  const [text, unet, vae] = [
    await part("text_encoder", folder.textEncoder),
    await part("unet", folder.unet),
    await part("vae", folder.vae),
  ];
  return {
    name: folder.name,
    text,
    unet,
    vae,
    tokenizer: createTokenizer(folder.tokenizer),
    knownWords: knownWords(folder.tokenizer.tokenizerConfig),
    scheduler: folder.scheduler,
    lowResScheduler: folder.lowResScheduler ?? LOW_RES_SCHEDULER,
    maxNoiseLevel: mostNoise(folder.index.maxNoiseLevel, unet.config),
    estimator: depth && {
      ...(await part("depth_estimator", depth)),
      processor: depth.processor,
    },
    detected: folder.detected,
    warnings: folder.warnings,
    factor: 2 ** (vae.config.blockOutChannels.length - 1),
    [Symbol.asyncDispose]: () => folder.close(),
  };
}

/** A single file's estimator; its pictures are prepared as by a folder that does not say how. */
function estimatorInFile(stored: ModelFolder["depth"]): ModelFolder["depthEstimator"] {
  if (!stored) return undefined;
  const tensors = async () => {
    const named = depthFromLdm(stored);
    checkWeights("depth_estimator", expectedDepth(MIDAS_HYBRID), named, "MiDaS's DPT-hybrid");
    return named;
  };
  return { config: MIDAS_HYBRID, processor: dptProcessor(), tensors };
}

/** A noise level is a class too. */
function mostNoise(most: number, { numClassEmbeds }: UnetConfig): number {
  return Math.min(most, (numClassEmbeds ?? most + 1) - 1);
}

/** The same tensors, telling how much of a part has been read. */
function counted(tensors: Tensors, name: string, onProgress: (event: LoadEvent) => void): Tensors {
  let loaded = 0;
  let total = 0;
  for (const tensor of tensors.values()) total += tensor.byteLength;
  const wrap = (tensor: StoredTensor): StoredTensor => ({
    ...tensor,
    async read(offset, length) {
      const bytes = await tensor.read(offset, length);
      loaded += length;
      onProgress({ stage: "read", name, loaded: Math.min(loaded, total), total });
      return bytes;
    },
  });
  return new Map([...tensors].map(([key, tensor]) => [key, wrap(tensor)]));
}
