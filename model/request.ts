/** What a caller asks for and what comes back: the types of the public face. Everything here is plain data. */
import type { GeneratorKind } from "../engine/random.ts";
import type { ModelKind } from "./detect.ts";
import type { DepthMap } from "./image/depth.ts";
import type { RgbImage } from "./image/image.ts";
import type { MaskMode } from "./image/mask.ts";
import type { GuidanceShape, PromptSyntax, Thresholding, TimestepSpacing } from "./limits.ts";
import type { OpenOptions } from "./open-options.ts";

export {
  type GuidanceShape,
  LIMITS,
  type PromptSyntax,
  SCHEDULERS,
  type Thresholding,
  type TimestepSpacing,
} from "./limits.ts";
export { validateRequest } from "./validate.ts";

/** One finished step of the denoising loop. Times are in ms, from a clock that never jumps. */
export interface StepEvent {
  /** 1 after the first step; `step === steps` after the last. */
  readonly step: number;
  readonly steps: number;
  /** The scheduler's timestep of this step, 0..999. */
  readonly timestep: number;
  readonly elapsedMs: number;
  /** The expected time until the last step is done. */
  readonly etaMs: number;
  /** In tiled upscaling an event follows each tile: the `tile`-th of `tiles` of this step is done. */
  readonly tile?: number;
  readonly tiles?: number;
}

/** What the first picture looks like by now. */
export interface PreviewEvent {
  readonly step: number;
  readonly steps: number;
  /** A pixel for each of the latents': an eighth of the picture's sides. */
  readonly image: RgbaImage;
}

/** One piece of work done while a checkpoint is loaded. */
export interface LoadEvent {
  readonly stage: "read" | "compile";
  /** The file, or the part of the model, that is at work. */
  readonly name: string;
  /** Bytes (`read`) or pipelines (`compile`) done and to do. */
  readonly loaded: number;
  readonly total: number;
}

/** What to paint. Only `prompt` is needed; the checkpoint says the rest (see `validateRequest`). */
export interface GenerateRequest {
  /** At most 4,000 characters; empty paints without a condition. */
  readonly prompt: string;
  readonly negativePrompt?: string | undefined;
  /** 1..1000 (default 50; upscaling 75). */
  readonly steps?: number | undefined;
  /** 0..100 (default 7.5; upscaling 9); 1 or less turns classifier-free guidance off. */
  readonly guidanceScale?: number | undefined;
  /** 0..1 (default 0): Lin et al. 2023, section 3.4. */
  readonly guidanceRescale?: number | undefined;
  /**
   * 0..1: guidance acts in step i of n where ⌊start·n⌋ <= i < ⌊stop·n⌋ (default 0 and 1); in the other steps the
   * prompt alone counts, as at scale 1 (Kynkäänniemi et al. 2024, "guidance interval"). n is the steps that run.
   */
  readonly guidanceStart?: number | undefined;
  readonly guidanceStop?: number | undefined;
  /**
   * `linear` or `cosine`: from `guidanceFrom` to `guidanceScale` in the steps in which guidance acts. A list: the scale
   * of each step that runs, in place of `guidanceScale`. Default `constant`.
   */
  readonly guidanceSchedule?: GuidanceShape | readonly number[] | undefined;
  /** 0..100 (default 1): where `linear` and `cosine` begin. */
  readonly guidanceFrom?: number | undefined;
  /**
   * What is done to x0 at each step: `dynamic` is diffusers' `thresholding`, `mimic` the webui extension "Dynamic
   * Thresholding (CFG Scale Fix)". Default: nothing.
   */
  readonly thresholding?: Thresholding | undefined;
  /** 0..1: the quantile (default 0.995, diffusers' `dynamic_thresholding_ratio`; `mimic` 1). */
  readonly thresholdingRatio?: number | undefined;
  /** 1..1000 (default 1): the most that `dynamic` takes for a threshold, diffusers' `sample_max_value`. */
  readonly sampleMaxValue?: number | undefined;
  /** 0..100 (default 7): the scale whose spread `mimic` keeps. */
  readonly mimicScale?: number | undefined;
  /** What to start from (image-to-image), to repaint, to take depth from, or to enlarge: the checkpoint says which. */
  readonly image?: RgbImage | undefined;
  /** 0..1: how far from `image` to go (default 0.8; inpainting 1). 0 gives the image back. */
  readonly strength?: number | undefined;
  /** What of `image` is repainted (inpainting). */
  readonly mask?: RgbImage | undefined;
  /** `white` (default): the mask's white is repainted. `alpha`: what is transparent in it. */
  readonly maskMode?: MaskMode | undefined;
  /** Relative depth, near is large, in any scale; without it a depth checkpoint estimates the image's own. */
  readonly depth?: DepthMap | undefined;
  /** 0..350 (default 20): how much noise the x4 upscaler puts on `image`. */
  readonly noiseLevel?: number | undefined;
  /**
   * 16..512, a multiple of 8: upscaling in tiles of at most so many pixels of `image` a side, blended in every
   * step. Default: one piece up to 512x512, tiles of 256 beyond.
   */
  readonly tile?: number | undefined;
  /** 0..tile / 2 (default a quarter of `tile`): so many pixels neighbouring tiles share. */
  readonly tileOverlap?: number | undefined;
  /** 0..1 (default 0): noise in each step of `ddim` and `tcd`. */
  readonly eta?: number | undefined;
  /** Whose noise a seed gives: `torch` (default), `cuda` or `numpy`. */
  readonly rng?: GeneratorKind | undefined;
  /** 0..24 (default 0): so many layers of the text encoder are left out at its end. */
  readonly clipSkip?: number | undefined;
  /**
   * `a1111`: weights in brackets, texts that change on the way, `AND`, prompts of any length, as in AUTOMATIC1111's
   * web UI. Default `plain`.
   */
  readonly promptSyntax?: PromptSyntax | undefined;
  /**
   * Encodes and decodes in tiles: less memory, and a picture that is near the same. In tiled upscaling the tiles
   * are the run's own; results of more than 2048 pixels a side are always decoded so.
   */
  readonly vaeTiling?: boolean | undefined;
  /** Writes the invisible watermark of the original scripts into pictures of 65,536 pixels or more. */
  readonly watermark?: boolean | undefined;
  /** One of `SCHEDULERS`; by default the checkpoint's own. */
  readonly scheduler?: string | undefined;
  /** In place of `steps` and a spacing: whole timesteps, noisiest first. Not for `pndm`. */
  readonly timesteps?: readonly number[] | undefined;
  /** How the steps are spread over the timesteps; by default as the checkpoint's scheduler file says. */
  readonly timestepSpacing?: TimestepSpacing | undefined;
  /** Ends the noisy end of the schedule in pure noise (Lin et al. 2023, section 3.1), where the scheduler can. */
  readonly rescaleBetasZeroSnr?: boolean | undefined;
  /** Settings over those of the scheduler's file, as diffusers' `X.from_config(config, **settings)`. */
  readonly schedulerConfig?: SchedulerSettings | undefined;
  /** 0..2^53-1; -1 or absent: a random one, which the result names. */
  readonly seed?: number | undefined;
  /** Pixels, a multiple of 8 in 64..2048; by default what the checkpoint was trained for, or the image's size. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  /** 1..16 pictures from one stream of noise, as diffusers' `num_images_per_prompt`. */
  readonly numImages?: number | undefined;
  /**
   * A stream of its own for each picture, the one of seed + i for picture i, as AUTOMATIC1111's web UI and
   * diffusers' list of generators: each is the picture that its seed gives alone.
   */
  readonly perImageSeeds?: boolean | undefined;
  /** `latent` leaves the VAE out and reads the final latents back, as diffusers' `output_type`. */
  readonly output?: "image" | "latent" | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((event: StepEvent) => void) | undefined;
  /** After a step, except the last, as often as the GPU keeps up; it costs next to nothing. */
  readonly onPreview?: ((event: PreviewEvent) => void) | undefined;
}

/**
 * A request with everything filled in: it says the picture, so it can be printed and repeated (with the
 * pictures that it was given). What stands last is there where it matters.
 */
export interface ResolvedRequest {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly steps: number;
  readonly guidanceScale: number;
  readonly guidanceRescale: number;
  readonly scheduler: string;
  readonly seed: number;
  readonly width: number;
  readonly height: number;
  readonly numImages: number;
  readonly strength?: number;
  readonly maskMode?: MaskMode;
  readonly guidanceStart?: number;
  readonly guidanceStop?: number;
  readonly guidanceSchedule?: GuidanceShape | readonly number[];
  readonly guidanceFrom?: number;
  readonly thresholding?: Thresholding;
  readonly thresholdingRatio?: number;
  readonly sampleMaxValue?: number;
  readonly mimicScale?: number;
  readonly noiseLevel?: number;
  /** Where the image is larger than a tile. */
  readonly tile?: number;
  readonly tileOverlap?: number;
  readonly eta?: number;
  readonly rng?: GeneratorKind;
  readonly clipSkip?: number;
  readonly promptSyntax?: PromptSyntax;
  readonly vaeTiling?: boolean;
  readonly watermark?: boolean;
  readonly timesteps?: readonly number[];
  readonly timestepSpacing?: TimestepSpacing;
  readonly rescaleBetasZeroSnr?: boolean;
  readonly schedulerConfig?: SchedulerSettings;
  readonly perImageSeeds?: boolean;
}

/** Keys of a scheduler_config.json by diffusers' own names. */
export type SchedulerSettings = Readonly<
  Record<string, number | string | boolean | readonly (number | string | boolean)[]>
>;

/** What a checkpoint fills in, and what it knows. */
export interface RequestDefaults {
  readonly width: number;
  readonly height: number;
  /** The name of the checkpoint's own scheduler, one of `schedulers`. */
  readonly scheduler: string;
  /** Every name that `scheduler` may have (default: `SCHEDULERS`). */
  readonly schedulers?: readonly string[];
  readonly steps?: number;
  readonly guidanceScale?: number;
  /** Absent while the checkpoint is not read: then only what no checkpoint takes is refused. */
  readonly kind?: ModelKind;
  /** Picture pixels to a side of a latent pixel (default 8). */
  readonly factor?: number;
  /** The x4 upscaler's largest noise level (default 350). */
  readonly maxNoiseLevel?: number;
}

export type { DepthMap, RgbImage };

/** A picture: RGBA, 8 bits each, rows from the top. */
export interface RgbaImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8ClampedArray;
}

/** What painted a picture. */
export interface ModelInfo {
  readonly name: string;
  readonly predictionType?: string;
  /** How the weights and activations were stored. */
  readonly dtype?: "f16" | "f32";
  /** The adapter that ran it. */
  readonly adapter?: string;
  /** SHA-256 of the UNet's weights, where it is known. */
  readonly sha256?: string;
}

export interface GenerateResult {
  /** Empty where the latents were asked for. */
  readonly images: readonly RgbaImage[];
  /** The final latents before the VAE, where they were asked for: [B,4,h,w], f32. */
  readonly latents?: { readonly data: Float32Array; readonly shape: readonly number[] };
  readonly seed: number;
  readonly warnings: readonly string[];
  /** Milliseconds of each stage (`encode`, `steps`, `decode`, ...). */
  readonly timings: Readonly<Record<string, number>>;
  readonly request: ResolvedRequest;
  readonly model: ModelInfo;
}

export interface LoadOptions extends OpenOptions {
  readonly device?: unknown;
  /** Ask for WebGPU's default limits and no optional feature, as the weakest browser gives them. */
  readonly minimal?: boolean | undefined;
  /** How weights and activations are stored; sums are always f32. */
  readonly dtype?: "f16" | "f32" | undefined;
  /** Multiply halves on the GPU's matrix units where it has any (default: on a GPU; see `DeviceOptions`). */
  readonly matrix?: boolean | undefined;
  /** Turns what would be a warning (a fall-back, a cut prompt) into an error. */
  readonly strict?: boolean | undefined;
  readonly onProgress?: ((event: LoadEvent) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** A request that was checked against a checkpoint. */
export interface CheckedRequest {
  readonly request: ResolvedRequest;
  /** Of the UNet, of all pictures at once. */
  readonly evaluations: number;
}

/** What `StableDiffusion` offers, in a worker too. */
export interface ImagePipeline extends AsyncDisposable {
  /** Warnings from loading (a software adapter, a dtype that fell back). */
  readonly warnings?: readonly string[];
  generate(request: GenerateRequest): Promise<GenerateResult>;
}

/** The same in this thread, which knows at once what a request means. Tools are written against it, tests put a fake in its place. */
export interface CheckingPipeline extends ImagePipeline {
  /** What `generate` would do, and refuses, without doing it. */
  check(request: GenerateRequest): CheckedRequest;
}

/** `StableDiffusion.fromPretrained`, as a value that can be handed on. */
export type LoadPipeline = (directory: string, options?: LoadOptions) => Promise<CheckingPipeline>;
