/** A checkpoint ready for use: its configurations, its tokenizer, its weights by path. */
import { Weights } from "../engine/parameters.ts";
import type { StoredTensor } from "../engine/safetensors.ts";
import type { TextConfig, UnetConfig, VaeConfig } from "./config.ts";
import type { Detected } from "./detect.ts";
import type { ModelFolder } from "./folder.node.ts";
import type { LoadEvent } from "./request.ts";
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
  readonly scheduler: ModelFolder["scheduler"];
  /** What the model is: its kind, what it predicts, who says so. */
  readonly detected: Detected;
  /** Tensors of a depth estimator inside of a single file, by the original's names. */
  readonly depth?: ReadonlyMap<string, StoredTensor>;
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
    scheduler: folder.scheduler,
    detected: folder.detected,
    ...(folder.depth && { depth: counted(folder.depth, "depth", onProgress) }),
    warnings: folder.warnings,
    factor: 2 ** (vae.config.blockOutChannels.length - 1),
    [Symbol.asyncDispose]: () => folder.close(),
  };
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
