/** A model as diffusers' save_pretrained writes it: model_index.json and one folder for each part. */
import { basename, join, resolve } from "node:path";
import { DiffusionError, type ErrorCode } from "../engine/errors.ts";
import { missing } from "../engine/platform/file.node.ts";
import { readJson, readText } from "../engine/platform/text-file.node.ts";
import type { ByteSource, StoredTensor } from "../engine/safetensors.ts";
import {
  type ModelIndex,
  modelIndex,
  type SchedulerConfig,
  schedulerConfig,
  type TextConfig,
  textConfig,
  type UnetConfig,
  unetConfig,
  type VaeConfig,
  vaeConfig,
} from "./config.ts";
import { checkWeights, expectedText, expectedUnet, expectedVae } from "./expected.ts";
import { cachedModelId } from "./hub/model-id.ts";
import { canonicalNames, type WeightPart } from "./names.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";
import { openWeights } from "./weight-files.node.ts";

/** A part with weights. */
export interface WeightComponent<Config> {
  readonly config: Config;
  /**
   * The part's tensors by diffusers' names (the text encoder's without `text_model.`), checked
   * against the configuration. The file is opened by the first call, and read as tensors are.
   */
  tensors(): Promise<ReadonlyMap<string, StoredTensor>>;
}

export interface ModelFolder extends AsyncDisposable {
  readonly path: string;
  /** The folder's own name, or its id on the hub: what a picture says of its model, without the user's folders. */
  readonly name: string;
  readonly index: ModelIndex;
  readonly textEncoder: WeightComponent<TextConfig>;
  readonly unet: WeightComponent<UnetConfig>;
  readonly vae: WeightComponent<VaeConfig>;
  readonly scheduler: SchedulerConfig;
  readonly tokenizer: TokenizerFiles;
  /** Closes every file that was opened. Tensors cannot be read after it. */
  close(): Promise<void>;
}

export interface FolderOptions {
  /** The files to take, as in `diffusion_pytorch_model.fp16.safetensors`. */
  readonly variant?: string | undefined;
  /** The solver that will run in place of the folder's own. */
  readonly scheduler?: string | undefined;
}

/**
 * Opens the diffusers folder at `path`: all of its small files are read and checked, no weights yet.
 * Throws WEIGHTS_MISSING (no such folder), CONFIG, SCHEDULER or TOKENIZER naming the file.
 */
export async function openFolder(path: string, options: FolderOptions = {}): Promise<ModelFolder> {
  const json = (code: ErrorCode, ...names: string[]) => requireJson(join(path, ...names), code);
  const index = modelIndex(await readIndex(path), join(path, "model_index.json"));
  const text = textConfig(await json("CONFIG", "text_encoder", "config.json"));
  const unet = unetConfig(await json("CONFIG", "unet", "config.json"));
  const vae = vaeConfig(await json("CONFIG", "vae", "config.json"));
  checkTogether(text, unet, vae);
  const schedulerFile = await json("SCHEDULER", "scheduler", "scheduler_config.json");
  const { weights, close } = weightOpener(path, options.variant);
  return {
    path,
    name: cachedModelId(resolve(path)) ?? basename(resolve(path)),
    index,
    textEncoder: { config: text, tensors: weights("text_encoder", expectedText(text)) },
    unet: { config: unet, tensors: weights("unet", expectedUnet(unet)) },
    vae: { config: vae, tensors: weights("vae", expectedVae(vae)) },
    scheduler: schedulerConfig(schedulerFile, "scheduler/scheduler_config.json", {
      scheduler: options.scheduler,
      className: index.components.get("scheduler"),
    }),
    tokenizer: await readTokenizer(join(path, "tokenizer")),
    close,
    [Symbol.asyncDispose]: close,
  };
}

const INCOMPLETE = "the folder is incomplete: `wgsl-diffusion download` again (it resumes)";

async function readIndex(path: string): Promise<unknown> {
  const json = await readJson(join(path, "model_index.json"), "CONFIG");
  if (json !== undefined) return json;
  const hint = "name a diffusers folder, or fetch one: `wgsl-diffusion download`";
  const message = `${path} is no model folder: there is no model_index.json in it`;
  throw new DiffusionError("WEIGHTS_MISSING", message, { hint });
}

async function requireJson(path: string, code: ErrorCode): Promise<unknown> {
  const json = await readJson(path, code);
  if (json !== undefined) return json;
  throw new DiffusionError(code, missing(path, "ENOENT").message, {
    hint: INCOMPLETE,
  });
}

/** Parts of different models fit their own configurations, and not one another. */
function checkTogether(text: TextConfig, unet: UnetConfig, vae: VaeConfig): void {
  const wrong = unet.crossAttentionDim.find((width) => width !== text.hiddenSize);
  const pairs = [
    [
      "unet: cross_attention_dim",
      wrong ?? text.hiddenSize,
      "text_encoder: hidden_size",
      text.hiddenSize,
    ],
    ["unet: out_channels", unet.outChannels, "vae: latent_channels", vae.latentChannels],
  ] as const;
  for (const [key, value, other, wanted] of pairs) {
    if (value === wanted) continue;
    const message = `${key} is ${value}, but ${other} is ${wanted}`;
    const hint = "the parts come from different models: take them all from one folder";
    throw new DiffusionError("CONFIG", message, { hint });
  }
}

async function readTokenizer(folder: string): Promise<TokenizerFiles> {
  const text = (name: string) => readText(join(folder, name), "TOKENIZER");
  const json = (name: string) => readJson(join(folder, name), "TOKENIZER");
  const files = {
    vocab: await text("vocab.json"),
    merges: await text("merges.txt"),
    tokenizer: await json("tokenizer.json"),
    specialTokensMap: await json("special_tokens_map.json"),
    tokenizerConfig: await json("tokenizer_config.json"),
  };
  if (files.tokenizer !== undefined) return files;
  const absent = (["vocab", "merges"] as const).find((name) => files[name] === undefined);
  if (absent === undefined) return files;
  const message = `${folder} has neither ${absent === "vocab" ? "vocab.json" : "merges.txt"} nor tokenizer.json`;
  throw new DiffusionError("TOKENIZER", message, { hint: INCOMPLETE });
}

const STEMS: Readonly<Record<WeightPart, string>> = {
  text_encoder: "model",
  unet: "diffusion_pytorch_model",
  vae: "diffusion_pytorch_model",
};

type Expected = ReturnType<typeof expectedText>;

type Tensors = ReadonlyMap<string, StoredTensor>;

/** Opens parts on demand, each once, and closes all that was opened. */
function weightOpener(path: string, variant: string | undefined) {
  const sources: ByteSource[] = [];
  const parts = new Map<WeightPart, Promise<Tensors>>();
  let closed = false;
  const open = async (part: WeightPart, expected: Expected) => {
    if (closed) throw new DiffusionError("DISPOSED", `${path} was closed`);
    const keep = (source: ByteSource) => void sources.push(source);
    const stored = await openWeights(join(path, part), STEMS[part], variant, keep);
    const tensors = canonicalNames(part, stored);
    checkWeights(part, expected, tensors);
    return tensors;
  };
  return {
    weights: (part: WeightPart, expected: Expected) => () => {
      const tensors = parts.get(part) ?? open(part, expected);
      parts.set(part, tensors);
      return tensors;
    },
    async close() {
      closed = true;
      // A part that is being opened now adds its files first.
      await Promise.allSettled(parts.values());
      await Promise.all(sources.splice(0).map((source) => source.close()));
    },
  };
}
