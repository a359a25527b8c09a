/** A checkpoint in one safetensors file, as the original's own code saves it, seen as a diffusers folder. */
import { DiffusionError } from "../engine/errors.ts";
import { type ByteSource, readSafetensors, type StoredTensor } from "../engine/safetensors.ts";
import {
  checkTogether,
  modelIndex,
  type PipelineClass,
  schedulerConfig,
  type TextConfig,
  textConfig,
  type UnetConfig,
  unetConfig,
  type VaeConfig,
  vaeConfig,
} from "./config.ts";
import { type Detected, kindOf, type ModelKind, type PredictionType } from "./detect.ts";
import { guessFile, guessForeign } from "./expected/guess.ts";
import { checkWeights, expectedText, expectedUnet, expectedVae } from "./expected.ts";
import { textJson, unetJson, vaeJson } from "./ldm/config.ts";
import { type LdmParts, separate, type Tensors } from "./ldm/parts.ts";
import { renamePart } from "./ldm/rename.ts";
import { schedulerJson } from "./ldm/scheduler.ts";
import type { ModelFolder, WeightComponent } from "./model-folder.ts";
import type { WeightPart } from "./names.ts";
import { normBiasDeviation, predictionByNormBias } from "./prediction.ts";
import { readTokenizerFiles, type TokenizerFiles } from "./tokenizer-files.ts";
import { CLIP_TOKENS, clipVocabulary } from "./vocabulary.ts";

/** Configuration beside a single file, each as parsed JSON; what is absent is told from the header. */
export interface ConfigFiles {
  readonly textEncoder?: unknown;
  readonly unet?: unknown;
  readonly vae?: unknown;
  readonly scheduler?: unknown;
  readonly tokenizer?: TokenizerFiles | undefined;
}

export interface SingleFileOptions {
  readonly config?: ConfigFiles;
  /** What the UNet predicts, in place of what is found out. */
  readonly prediction?: PredictionType | undefined;
}

/**
 * Opens `source`, which the result owns from then on. Only its header is read, and for a model that
 * takes latents alone 1.3 kB more, which tell what it predicts. Throws what `readSafetensors` throws,
 * WEIGHTS_MISMATCH (no Stable Diffusion 2: says what else it looks like), CONFIG (a model of unusual
 * size, which needs `config`), SCHEDULER, TOKENIZER.
 */
export async function openSingleFile(
  source: ByteSource,
  { config = {}, prediction }: SingleFileOptions = {},
): Promise<ModelFolder> {
  const { tensors } = await readSafetensors(source);
  const parts = separate(tensors);
  const kind = kindOfFile(source.name, tensors, parts);
  const detected = await detect(parts, kind, config, prediction);
  const configs = configsOf(parts, detected, config);
  const components = renameAll(parts, configs, source.name);
  const scheduler = schedulerConfig(
    config.scheduler === undefined
      ? schedulerJson(kind, detected.prediction)
      : { ...Object(config.scheduler), prediction_type: detected.prediction },
  );
  return {
    path: source.name,
    name: nameOf(source.name),
    index: indexOf(kind, String(scheduler.values._class_name)),
    ...components,
    scheduler,
    tokenizer: await tokenizerOf(config.tokenizer, configs.text, source.name),
    detected,
    ...(parts.depth.size > 0 && { depth: parts.depth }),
    warnings: parts.unknown.length > 0 ? [passedOver(source.name, parts.unknown)] : [],
    close: () => source.close(),
    [Symbol.asyncDispose]: () => source.close(),
  };
}

const NOT_ONE = { hint: "name a diffusers folder, or a whole Stable Diffusion 2 checkpoint" };

/** Throws WEIGHTS_MISMATCH, with a guess, unless the file is a whole Stable Diffusion 2. */
function kindOfFile(name: string, tensors: Tensors, parts: LdmParts): ModelKind {
  const foreign = guessForeign(tensors);
  if (foreign) {
    throw new DiffusionError("WEIGHTS_MISMATCH", `${name} looks like ${foreign}`, {
      hint: "this program runs Stable Diffusion 2",
    });
  }
  const missing = (["unet", "vae", "text_encoder"] as const).filter(
    (part) => parts[part].size === 0,
  );
  if (missing.length > 0) throw incomplete(name, tensors, missing);
  const channels = parts.unet.get("input_blocks.0.0.weight")?.shape[1];
  const kind = kindOf(channels ?? 0);
  if (kind) return kind;
  const message = `${name}: the UNet takes ${channels ?? "no"} channels; expected 4, 5 (depth), 7 (x4 upscaler) or 9 (inpainting)`;
  throw new DiffusionError("WEIGHTS_MISMATCH", message, NOT_ONE);
}

const CALLED: Readonly<Record<WeightPart, string>> = {
  unet: "UNet (model.diffusion_model.*)",
  vae: "VAE (first_stage_model.*)",
  text_encoder: "text encoder (cond_stage_model.model.*)",
};

function incomplete(name: string, tensors: Tensors, missing: readonly WeightPart[]) {
  const lacks = `it has no ${missing.map((part) => CALLED[part]).join(", no ")}`;
  const guess = missing.length === 3 ? guessFile(tensors) : undefined;
  const looks = guess === undefined ? "" : `; it looks like ${guess}`;
  const message = `${name} is not a whole checkpoint: ${lacks}${looks}`;
  return new DiffusionError("WEIGHTS_MISMATCH", message, NOT_ONE);
}

async function detect(
  parts: LdmParts,
  kind: ModelKind,
  config: ConfigFiles,
  option: PredictionType | undefined,
): Promise<Detected> {
  const known = { kind, layout: parts.ema ? "ldm-ema" : "ldm" } as const;
  if (option !== undefined) return { ...known, prediction: option, by: "option" };
  if (config.scheduler !== undefined) {
    const { predictionType } = schedulerConfig(config.scheduler);
    return { ...known, prediction: predictionType, by: "config" };
  }
  if (kind === "x4-upscaling") return { ...known, prediction: "v_prediction", by: "kind" };
  if (kind !== "base") return { ...known, prediction: "epsilon", by: "kind" };
  const normBias = await normBiasDeviation(parts.unet);
  return { ...known, prediction: predictionByNormBias(normBias), by: "norm-bias", normBias };
}

interface Configs {
  readonly text: TextConfig;
  readonly unet: UnetConfig;
  readonly vae: VaeConfig;
}

function configsOf(parts: LdmParts, { kind, prediction }: Detected, config: ConfigFiles): Configs {
  const size = sampleSize(kind, prediction);
  const told = "the file's header";
  const text = config.textEncoder ?? textJson(parts.text_encoder);
  const unet = config.unet ?? unetJson(parts.unet, kind, size);
  const vae = config.vae ?? vaeJson(parts.vae, kind, size);
  const configs = {
    text: textConfig(text, config.textEncoder ? undefined : told),
    unet: unetConfig(unet, config.unet ? undefined : told),
    vae: vaeConfig(vae, config.vae ? undefined : told),
  };
  checkTogether(configs.text, configs.unet, configs.vae);
  return configs;
}

/** Latent pixels to a side that each kind was trained on: nothing in the file says it. */
function sampleSize(kind: ModelKind, prediction: PredictionType): number {
  if (kind === "x4-upscaling") return 128;
  return kind === "base" && prediction === "v_prediction" ? 96 : 64;
}

type Components = Pick<ModelFolder, "textEncoder" | "unet" | "vae">;

/** Checks every part at once: names and shapes are known from the header. */
function renameAll(parts: LdmParts, { text, unet, vae }: Configs, file: string): Components {
  const sizes = {
    layersPerBlock: unet.layersPerBlock[0]!,
    vaeLevels: vae.blockOutChannels.length,
    layers: text.numHiddenLayers,
  };
  const component = <Config>(
    part: WeightPart,
    config: Config,
    expected: ReadonlyMap<string, readonly number[]>,
  ): WeightComponent<Config> => {
    const tensors: ReadonlyMap<string, StoredTensor> = renamePart(part, parts[part], sizes);
    checkWeights(part, expected, tensors, `what Stable Diffusion 2 is made of (${file})`);
    return { config, tensors: async () => tensors };
  };
  return {
    textEncoder: component("text_encoder", text, expectedText(text)),
    unet: component("unet", unet, expectedUnet(unet)),
    vae: component("vae", vae, expectedVae(vae)),
  };
}

const PIPELINES: Readonly<Record<ModelKind, PipelineClass>> = {
  base: "StableDiffusionPipeline",
  inpainting: "StableDiffusionInpaintPipeline",
  depth: "StableDiffusionDepth2ImgPipeline",
  "x4-upscaling": "StableDiffusionUpscalePipeline",
};

function indexOf(kind: ModelKind, scheduler: string) {
  return modelIndex({
    _class_name: PIPELINES[kind],
    text_encoder: ["transformers", "CLIPTextModel"],
    unet: ["diffusers", "UNet2DConditionModel"],
    vae: ["diffusers", "AutoencoderKL"],
    tokenizer: ["transformers", "CLIPTokenizer"],
    scheduler: ["diffusers", scheduler],
  });
}

/** Throws TOKENIZER if the vocabulary has tokens that the text encoder has no embedding for. */
async function tokenizerOf(
  given: TokenizerFiles | undefined,
  { vocabSize }: TextConfig,
  file: string,
): Promise<TokenizerFiles> {
  const tokens = given ? Math.max(...readTokenizerFiles(given).vocab.values()) + 1 : CLIP_TOKENS;
  if (tokens <= vocabSize) return given ?? (await clipVocabulary());
  const which = given ? "the configuration's tokenizer" : "CLIP's vocabulary";
  const message = `${file}: the text encoder knows ${vocabSize} tokens, but ${which} has ${tokens}`;
  throw new DiffusionError("TOKENIZER", message, {
    hint: "give the tokenizer that it was trained with: --config DIR with a folder tokenizer/",
  });
}

/** The file's own name without its ending: what a picture says of its model. */
function nameOf(path: string): string {
  const file = path.split(/[/\\]/).at(-1)!;
  return file.replace(/\.safetensors$/i, "") || file;
}

function passedOver(file: string, names: readonly string[]): string {
  const shown = names.slice(0, 3).map((name) => name.slice(0, 100));
  const more = names.length > 3 ? ` and ${names.length - 3} more` : "";
  return `${nameOf(file)}: tensors that belong to no part of Stable Diffusion 2 are left out: ${shown.join(", ")}${more}`;
}
