/**
 * What a caller asks for and what comes back: the types of the public face, and the one place that
 * checks a request. Everything here is plain data; nothing knows a tensor or a GPU.
 */
import { DiffusionError } from "../engine/errors.ts";

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
  /** 1..1000 (default 50). */
  readonly steps?: number | undefined;
  /** 0..100 (default 7.5); 1 or less turns classifier-free guidance off. */
  readonly guidanceScale?: number | undefined;
  /** 0..1 (default 0): Lin et al. 2023, section 3.4. */
  readonly guidanceRescale?: number | undefined;
  /** `ddim`, `pndm`, `euler`; by default the checkpoint's own. */
  readonly scheduler?: string | undefined;
  /** 0..2^53-1; -1 or absent: a random one, which the result names. */
  readonly seed?: number | undefined;
  /** Pixels, a multiple of 8 in 64..2048; by default what the checkpoint was trained for. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  /** 1..16 pictures from one stream of noise, as diffusers' `num_images_per_prompt`. */
  readonly numImages?: number | undefined;
  /** `latent` leaves the VAE out and reads the final latents back, as diffusers' `output_type`. */
  readonly output?: "image" | "latent" | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onStep?: ((event: StepEvent) => void) | undefined;
}

/** A request with everything filled in: it says the picture, so it can be printed and repeated. */
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
}

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
}

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

export interface LoadOptions {
  readonly device?: unknown;
  /** How weights and activations are stored; sums are always f32. */
  readonly dtype?: "f16" | "f32" | undefined;
  /** Turns what would be a warning (a fall-back, a cut prompt) into an error. */
  readonly strict?: boolean | undefined;
  readonly onProgress?: ((event: LoadEvent) => void) | undefined;
  readonly signal?: AbortSignal | undefined;
}

/** What `StableDiffusion` offers; tools are written against this, tests put a fake in its place. */
export interface ImagePipeline extends AsyncDisposable {
  /** Warnings from loading (a software adapter, a dtype that fell back). */
  readonly warnings?: readonly string[];
  generate(request: GenerateRequest): Promise<GenerateResult>;
}

/** `StableDiffusion.fromPretrained`, as a value that can be handed on. */
export type LoadPipeline = (directory: string, options?: LoadOptions) => Promise<ImagePipeline>;

/** The bounds of a request. */
export const LIMITS = {
  promptLength: 4000,
  steps: { min: 1, max: 1000 },
  guidanceScale: { min: 0, max: 100 },
  guidanceRescale: { min: 0, max: 1 },
  size: { min: 64, max: 2048, multiple: 8 },
  numImages: { min: 1, max: 16 },
} as const;

/** The samplers of this version, by the names that `scheduler` takes. */
export const SCHEDULERS: readonly string[] = ["ddim", "pndm", "euler"];

/**
 * Checks a request and fills it in from `defaults`. Nothing is clamped or rounded: a picture of
 * another size than asked for would be a silent surprise.
 * Throws `BAD_REQUEST` naming the option, what was found, and what is allowed.
 */
export function validateRequest(
  request: GenerateRequest,
  defaults: RequestDefaults,
): ResolvedRequest {
  return {
    prompt: text("prompt", request.prompt),
    negativePrompt: text("negativePrompt", request.negativePrompt ?? ""),
    steps: integer("steps", request.steps ?? defaults.steps ?? 50, LIMITS.steps),
    guidanceScale: real(
      "guidanceScale",
      request.guidanceScale ?? defaults.guidanceScale ?? 7.5,
      LIMITS.guidanceScale,
    ),
    guidanceRescale: real("guidanceRescale", request.guidanceRescale ?? 0, LIMITS.guidanceRescale),
    scheduler: schedulerName(
      request.scheduler ?? defaults.scheduler,
      defaults.schedulers ?? SCHEDULERS,
    ),
    seed: seedOf(request.seed),
    width: side("width", request.width ?? defaults.width),
    height: side("height", request.height ?? defaults.height),
    numImages: integer("numImages", request.numImages ?? 1, LIMITS.numImages),
  };
}

function text(name: string, value: unknown): string {
  if (typeof value !== "string") throw bad(`${name} must be a string (got ${show(value)})`);
  // Code points, not UTF-16 units: an emoji is one character to its writer.
  const length = value.length <= LIMITS.promptLength ? value.length : [...value].length;
  if (length <= LIMITS.promptLength) return value;
  throw bad(
    `${name} must be at most ${LIMITS.promptLength} characters (got ${length})`,
    "The text encoder reads 77 tokens, about 50 words; the rest would be cut.",
  );
}

interface Range {
  readonly min: number;
  readonly max: number;
}

function integer(name: string, value: unknown, { min, max }: Range): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max)
    return value as number;
  throw bad(`${name} must be a whole number between ${min} and ${max} (got ${show(value)})`);
}

function real(name: string, value: unknown, { min, max }: Range): number {
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw bad(`${name} must be a number between ${min} and ${max} (got ${show(value)})`);
}

function side(name: string, value: unknown): number {
  const { min, max, multiple } = LIMITS.size;
  const number = typeof value === "number" ? value : Number.NaN;
  if (number >= min && number <= max && number % multiple === 0) return number;
  const nearest = Math.min(max, Math.max(min, Math.round(number / multiple) * multiple));
  const advice = Number.isNaN(nearest) ? "" : `; nearest: ${nearest}`;
  throw bad(
    `${name} must be a multiple of ${multiple} between ${min} and ${max} (got ${show(value)})${advice}`,
  );
}

function seedOf(value: unknown): number {
  if (value === undefined || value === -1)
    return crypto.getRandomValues(new Uint32Array(1))[0] as number;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw bad(
    `seed must be a whole number between 0 and ${Number.MAX_SAFE_INTEGER}, or -1 for a random one (got ${show(value)})`,
  );
}

/** The class names that diffusers users know, beside our own names. */
const SCHEDULER_ALIASES: Readonly<Record<string, string>> = {
  ddimscheduler: "ddim",
  pndmscheduler: "pndm",
  plms: "pndm",
  eulerdiscretescheduler: "euler",
};

function schedulerName(value: unknown, known: readonly string[]): string {
  if (typeof value === "string") {
    const key = value.toLowerCase();
    const name = Object.hasOwn(SCHEDULER_ALIASES, key) ? SCHEDULER_ALIASES[key] : key;
    if (name !== undefined && known.includes(name)) return name;
  }
  throw bad(`scheduler must be one of ${known.join(", ")} (got ${show(value)})`);
}

/** A value as a message shows it. Objects are named by their kind: their own toString may be anything. */
function show(value: unknown): string {
  const object = typeof value === "object" && value !== null;
  const plain = object ? (Array.isArray(value) ? "a list" : "an object") : String(value);
  const shown = typeof value === "string" ? JSON.stringify(value) : plain;
  return shown.length > 40 ? `${shown.slice(0, 37)}...` : shown;
}

function bad(message: string, hint?: string): DiffusionError {
  return new DiffusionError("BAD_REQUEST", message, hint === undefined ? {} : { hint });
}
