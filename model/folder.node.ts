/** A model as diffusers' save_pretrained writes it: model_index.json and one folder for each part. */
import { basename, join, resolve } from "node:path";
import { DiffusionError, type ErrorCode } from "../engine/errors.ts";
import { missing } from "../engine/platform/file.node.ts";
import { readJson } from "../engine/platform/text-file.node.ts";
import type { ByteSource, StoredTensor } from "../engine/safetensors.ts";
import { configFile } from "./config/fields.ts";
import {
  checkTogether,
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
import {
  type DptConfig,
  type DptProcessor,
  dptConfig,
  dptProcessor,
  expectedDepth,
} from "./depth/index.ts";
import { type Detected, kindOf, type PredictionType } from "./detect.ts";
import { checkWeights, expectedText, expectedUnet, expectedVae } from "./expected.ts";
import { cachedModelId } from "./hub/model-id.ts";
import { canonicalNames, type WeightPart } from "./names.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";
import { readTokenizer } from "./tokenizer-folder.node.ts";
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

export interface DepthComponent extends WeightComponent<DptConfig> {
  readonly processor: DptProcessor;
}

/** A model's files, opened: a diffusers folder, or a single file that is seen as one. */
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
  /** The x4 upscaler's low_res_scheduler/scheduler_config.json. */
  readonly lowResScheduler?: Readonly<Record<string, unknown>> | undefined;
  /** A depth checkpoint's estimator, if the folder has one. */
  readonly depthEstimator?: DepthComponent | undefined;
  /** What the model is, and who says so. */
  readonly detected: Detected;
  /**
   * The depth estimator inside of a single file: its tensors by the original's names, without
   * `depth_model.model.` (`pretrained.model.cls_token`, `scratch.output_conv.4.bias`).
   */
  readonly depth?: ReadonlyMap<string, StoredTensor>;
  /** What was passed over, or guessed. */
  readonly warnings: readonly string[];
  /** Closes every file that was opened. Tensors cannot be read after it. */
  close(): Promise<void>;
}

export interface FolderOptions {
  /** The files to take, as in `diffusion_pytorch_model.fp16.safetensors`. */
  readonly variant?: string | undefined;
  /** The solver that will run in place of the folder's own. */
  readonly scheduler?: string | undefined;
  /** What the UNet predicts, in place of what the scheduler's file says. */
  readonly prediction?: PredictionType | undefined;
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
  const scheduler = schedulerConfig(
    predicting(options.prediction, await json("SCHEDULER", "scheduler", "scheduler_config.json")),
    "scheduler/scheduler_config.json",
    { scheduler: options.scheduler, className: index.components.get("scheduler") },
  );
  const { weights, close } = weightOpener(path, options.variant);
  return {
    path,
    name: cachedModelId(resolve(path)) ?? basename(resolve(path)),
    index,
    textEncoder: { config: text, tensors: weights("text_encoder", expectedText(text)) },
    unet: { config: unet, tensors: weights("unet", expectedUnet(unet)) },
    vae: { config: vae, tensors: weights("vae", expectedVae(vae)) },
    scheduler,
    detected: {
      kind: kindOf(unet.inChannels) ?? "base",
      prediction: scheduler.predictionType,
      by: options.prediction === undefined ? "config" : "option",
      layout: "diffusers",
    },
    warnings: [],
    tokenizer: await readTokenizer(join(path, "tokenizer")),
    lowResScheduler: await readLowRes(path),
    depthEstimator: await readDepthEstimator(path, index, weights),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function readLowRes(path: string): Promise<ModelFolder["lowResScheduler"]> {
  const name = join("low_res_scheduler", "scheduler_config.json");
  const json = await readJson(join(path, name), "SCHEDULER");
  return json === undefined ? undefined : configFile(json, name, "SCHEDULER").values;
}

async function readDepthEstimator(
  path: string,
  { components }: ModelIndex,
  weights: ReturnType<typeof weightOpener>["weights"],
): Promise<DepthComponent | undefined> {
  if (!components.has("depth_estimator")) return undefined;
  const config = dptConfig(
    await requireJson(join(path, "depth_estimator", "config.json"), "CONFIG"),
  );
  const processor = await readJson(
    join(path, "feature_extractor", "preprocessor_config.json"),
    "CONFIG",
  );
  return {
    config,
    processor: dptProcessor(processor ?? {}),
    tensors: weights("depth_estimator", expectedDepth(config)),
  };
}

/** The scheduler's file with another prediction type; what is no object is judged by its reader. */
export function predicting(prediction: PredictionType | undefined, file: unknown): unknown {
  const isObject = typeof file === "object" && file !== null && !Array.isArray(file);
  if (prediction === undefined || !isObject) return file;
  return { ...file, prediction_type: prediction };
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

type FolderPart = WeightPart | "depth_estimator";

const STEMS: Readonly<Record<FolderPart, string>> = {
  text_encoder: "model",
  unet: "diffusion_pytorch_model",
  vae: "diffusion_pytorch_model",
  depth_estimator: "model",
};

type Expected = ReturnType<typeof expectedText>;

type Tensors = ReadonlyMap<string, StoredTensor>;

/** Opens parts on demand, each once, and closes all that was opened. */
function weightOpener(path: string, variant: string | undefined) {
  const sources: ByteSource[] = [];
  const parts = new Map<FolderPart, Promise<Tensors>>();
  let closed = false;
  const open = async (part: FolderPart, expected: Expected) => {
    if (closed) throw new DiffusionError("DISPOSED", `${path} was closed`);
    const keep = (source: ByteSource) => void sources.push(source);
    const stored = await openWeights(join(path, part), STEMS[part], variant, keep);
    const tensors = part === "depth_estimator" ? stored : canonicalNames(part, stored);
    checkWeights(part, expected, tensors);
    return tensors;
  };
  return {
    weights: (part: FolderPart, expected: Expected) => () => {
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
