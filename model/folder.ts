/** A model as diffusers' save_pretrained writes it: model_index.json and one folder for each part. */
import { DiffusionError, type ErrorCode } from "../engine/errors.ts";
import type { ByteSource, StoredTensor } from "../engine/safetensors.ts";
import { configFile } from "./config/fields.ts";
import {
  checkTogether,
  type ModelIndex,
  modelIndex,
  schedulerConfig,
  textConfig,
  unetConfig,
  vaeConfig,
} from "./config.ts";
import { dptConfig, dptProcessor, expectedDepth } from "./depth/index.ts";
import { kindOf, type PredictionType } from "./detect.ts";
import { checkWeights, expectedText, expectedUnet, expectedVae } from "./expected.ts";
import { type ModelFiles, readJson } from "./files/files.ts";
import type { DepthComponent, ModelFolder } from "./model-folder.ts";
import { canonicalNames, type WeightPart } from "./names.ts";
import { readTokenizer } from "./tokenizer-folder.ts";
import { openWeights } from "./weight-files.ts";

export interface FolderOptions {
  /** The files to take, as in `diffusion_pytorch_model.fp16.safetensors`. */
  readonly variant?: string | undefined;
  /** The solver that will run in place of the folder's own. */
  readonly scheduler?: string | undefined;
  /** What the UNet predicts, in place of what the scheduler's file says. */
  readonly prediction?: PredictionType | undefined;
}

/**
 * Opens a diffusers folder: all of its small files are read and checked, no weights yet.
 * Throws WEIGHTS_MISSING (no such folder), CONFIG, SCHEDULER or TOKENIZER naming the file.
 */
export async function openFolderFiles(
  files: ModelFiles,
  options: FolderOptions = {},
): Promise<ModelFolder> {
  const json = (code: ErrorCode, name: string) => requireJson(files, name, code);
  const index = modelIndex(await readIndex(files), files.where("model_index.json"));
  const text = textConfig(await json("CONFIG", "text_encoder/config.json"));
  const unet = unetConfig(await json("CONFIG", "unet/config.json"));
  const vae = vaeConfig(await json("CONFIG", "vae/config.json"));
  checkTogether(text, unet, vae);
  const scheduler = schedulerConfig(
    predicting(options.prediction, await json("SCHEDULER", "scheduler/scheduler_config.json")),
    "scheduler/scheduler_config.json",
    { scheduler: options.scheduler, className: index.components.get("scheduler") },
  );
  const { weights, close } = weightOpener(files, options.variant);
  return {
    ...{ path: files.path, name: files.name },
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
    tokenizer: await readTokenizer(files),
    lowResScheduler: await readLowRes(files),
    depthEstimator: await readDepthEstimator(files, index, weights),
    close,
    [Symbol.asyncDispose]: close,
  };
}

async function readLowRes(files: ModelFiles): Promise<ModelFolder["lowResScheduler"]> {
  const name = "low_res_scheduler/scheduler_config.json";
  const json = await readJson(files, name, "SCHEDULER");
  return json === undefined ? undefined : configFile(json, name, "SCHEDULER").values;
}

async function readDepthEstimator(
  files: ModelFiles,
  { components }: ModelIndex,
  weights: ReturnType<typeof weightOpener>["weights"],
): Promise<DepthComponent | undefined> {
  if (!components.has("depth_estimator")) return undefined;
  const config = dptConfig(await requireJson(files, "depth_estimator/config.json", "CONFIG"));
  const processor = await readJson(files, "feature_extractor/preprocessor_config.json", "CONFIG");
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

async function readIndex(files: ModelFiles): Promise<unknown> {
  const json = await readJson(files, "model_index.json", "CONFIG");
  if (json !== undefined) return json;
  const hint = "name a diffusers folder, or fetch one: `wgsl-diffusion download`";
  const message = `${files.path} is no model folder: there is no model_index.json in it`;
  throw new DiffusionError("WEIGHTS_MISSING", message, { hint });
}

async function requireJson(files: ModelFiles, name: string, code: ErrorCode): Promise<unknown> {
  const json = await readJson(files, name, code);
  if (json !== undefined) return json;
  throw new DiffusionError(code, `${files.where(name)} does not exist`, { hint: INCOMPLETE });
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
function weightOpener(files: ModelFiles, variant: string | undefined) {
  const sources: ByteSource[] = [];
  const parts = new Map<FolderPart, Promise<Tensors>>();
  let closed = false;
  const open = async (part: FolderPart, expected: Expected) => {
    if (closed) throw new DiffusionError("DISPOSED", `${files.path} was closed`);
    const keep = (source: ByteSource) => void sources.push(source);
    const stored = await openWeights(files, part, { stem: STEMS[part], variant, keep });
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
