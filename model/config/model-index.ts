/** model_index.json: the pipeline's class, and the class of each of its parts. */
import { type ConfigFile, choiceOf, configFault, configFile, countOf } from "./fields.ts";

export interface ModelIndex {
  readonly className: PipelineClass;
  /** Class name by part ("unet": "UNet2DConditionModel"); parts that are null are left out. */
  readonly components: ReadonlyMap<string, string>;
  /** The x4 upscaler's largest noise level. */
  readonly maxNoiseLevel: number;
}

/** The pipelines of the Stable Diffusion 2 family that share its parts. */
const PIPELINES = {
  StableDiffusionPipeline: "StableDiffusionPipeline",
  StableDiffusionImg2ImgPipeline: "StableDiffusionImg2ImgPipeline",
  StableDiffusionInpaintPipeline: "StableDiffusionInpaintPipeline",
  StableDiffusionDepth2ImgPipeline: "StableDiffusionDepth2ImgPipeline",
  StableDiffusionUpscalePipeline: "StableDiffusionUpscalePipeline",
} as const;

export type PipelineClass = keyof typeof PIPELINES;

const PARTS = {
  text_encoder: ["CLIPTextModel"],
  unet: ["UNet2DConditionModel"],
  vae: ["AutoencoderKL"],
  tokenizer: ["CLIPTokenizer", "CLIPTokenizerFast"],
} as const;

/** The folder's index. Throws CONFIG for another pipeline, or a part that is missing or another. */
export function modelIndex(json: unknown, name = "model_index.json"): ModelIndex {
  const file = configFile(json, name);
  const className = choiceOf(file, "_class_name", PIPELINES, "");
  const components = new Map<string, string>();
  for (const [part, value] of Object.entries(file.values)) {
    const found = Array.isArray(value) && value.length === 2 ? value[1] : undefined;
    if (typeof found === "string") components.set(part, found);
  }
  for (const [part, classes] of Object.entries(PARTS)) checkPart(file, components, part, classes);
  return { className, components, maxNoiseLevel: countOf(file, "max_noise_level", 350, 0) };
}

function checkPart(
  file: ConfigFile,
  components: ReadonlyMap<string, string>,
  part: string,
  classes: readonly string[],
): void {
  if (classes.includes(components.get(part) ?? "")) return;
  throw configFault(file, part, file.values[part], `[library, ${classes.join(" or ")}]`);
}
