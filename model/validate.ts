/** The one place that checks a request, and fills it in. Nothing here knows a tensor or a GPU. */
import { GENERATOR_KINDS } from "../engine/random.ts";
import { SAMPLER_CLASSES, SAMPLER_NAMES, SIGMA_SPACINGS } from "../sampler/index.ts";
import { bad, flag, integer, oneOf, real, seedOf, show, side, text } from "./checks.ts";
import type { DepthMap } from "./image/depth.ts";
import { channelsOf, type RgbImage } from "./image/image.ts";
import { preparedSize } from "./image/prepare.ts";
import { LIMITS, PROMPT_SYNTAXES, SCHEDULERS } from "./limits.ts";
import type { GenerateRequest, RequestDefaults, ResolvedRequest } from "./request.ts";
import { samplingFields, stepsOf } from "./sampling.ts";
import { TASK_DEFAULTS, type Task, taskOf } from "./tasks/task.ts";
import { guidanceFields } from "./validate-guidance.ts";

/**
 * Checks a request and fills it in from `defaults`. Nothing is clamped or rounded: a picture of
 * another size than asked for would be a silent surprise.
 * Throws `BAD_REQUEST` naming the option, what was found, and what is allowed.
 */
export function validateRequest(
  request: GenerateRequest,
  defaults: RequestDefaults,
): ResolvedRequest {
  checkInputs(request);
  const task = taskOf(defaults.kind, request);
  const known = { ...TASK_DEFAULTS[task], ...withoutAbsent(defaults) };
  const steps = stepsOf(request, known.steps);
  return {
    prompt: text("prompt", request.prompt),
    negativePrompt: text("negativePrompt", request.negativePrompt ?? ""),
    steps,
    guidanceScale: real(
      "guidanceScale",
      request.guidanceScale ?? known.guidanceScale,
      LIMITS.guidanceScale,
    ),
    guidanceRescale: real("guidanceRescale", request.guidanceRescale ?? 0, LIMITS.guidanceRescale),
    scheduler: schedulerName(
      request.scheduler ?? defaults.scheduler,
      defaults.schedulers ?? SCHEDULERS,
    ),
    seed: seedFor(request),
    ...sizeOf(task, request, defaults),
    numImages: integer("numImages", request.numImages ?? 1, LIMITS.numImages),
    ...taskFields(task, request, defaults, steps),
    ...(task === "upscaling" && tileFields(request, defaults.factor ?? 4)),
    ...guidanceFields(request, scaleCount(request, defaults, steps, TASK_DEFAULTS[task].strength)),
    ...otherFields(request),
    ...samplingFields(request),
  };
}

/** The first picture's; where each has its own, the last one's must be a seed too. */
function seedFor({ seed: given, perImageSeeds, numImages = 1 }: GenerateRequest): number {
  const seed = seedOf(given);
  if (perImageSeeds) seedOf(seed + (numImages - 1));
  return seed;
}

function withoutAbsent<T extends object>(values: T): T {
  return Object.fromEntries(Object.entries(values).filter(([, v]) => v !== undefined)) as T;
}

/** That pictures are pictures; what is in them is judged where they are used. */
function checkInputs({ image, mask, depth }: GenerateRequest): void {
  for (const [name, value] of Object.entries({ image, mask, depth })) {
    if (value === undefined) continue;
    const { width, height, data } = (value ?? {}) as Partial<DepthMap>;
    const sized = [width, height].every((n) => Number.isSafeInteger(n) && (n as number) > 0);
    if (!sized || !ArrayBuffer.isView(data))
      throw bad(`${name} must be { width, height, data } (got ${show(value)})`);
    if (name !== "depth") channelsOf(value as RgbImage, `the ${name}`);
  }
}

/** Pixels of the result: asked for, or the image's, or the checkpoint's own. */
function sizeOf(task: Task, request: GenerateRequest, defaults: RequestDefaults) {
  const { image, width, height } = request;
  if (task === "upscaling") return upscaledSize(request, defaults.factor ?? 4);
  const own = image && task !== "inpainting" ? preparedSize(image, { width, height }) : defaults;
  const hint =
    own === defaults || !image
      ? undefined
      : `The image is ${image.width}x${image.height}: give width and height to bring it to another size.`;
  return {
    width: side("width", width ?? own.width, hint),
    height: side("height", height ?? own.height, hint),
  };
}

/** Latents as large as the picture that is given; `factor` times that comes out. */
function upscaledSize({ image, width, height }: GenerateRequest, factor: number) {
  if (width !== undefined || height !== undefined)
    throw bad(
      `upscaling takes no width and no height: the result is ${factor} times as large as the image`,
    );
  const from = preparedSize(image!, { multiple: factor });
  const most = LIMITS.enlarged.max;
  if (from.width > most || from.height > most)
    throw bad(
      `the image to enlarge must be at most ${most}x${most} (got ${from.width}x${from.height})`,
    );
  return { width: factor * from.width, height: factor * from.height };
}

function taskFields(
  task: Task,
  request: GenerateRequest,
  { maxNoiseLevel }: RequestDefaults,
  steps: number,
): Partial<ResolvedRequest> {
  const { strength, noiseLevel } = TASK_DEFAULTS[task];
  const most = { min: 0, max: Math.min(maxNoiseLevel ?? 350, LIMITS.noiseLevel.max) };
  return {
    ...(strength !== undefined && { strength: strengthOf(request.strength ?? strength, steps) }),
    ...(noiseLevel !== undefined && {
      noiseLevel: integer("noiseLevel", request.noiseLevel ?? Math.min(noiseLevel, most.max), most),
    }),
    ...(task === "inpainting" && {
      maskMode: oneOf("maskMode", request.maskMode ?? "white", ["white", "alpha"]),
    }),
  };
}

/** The tiles of a picture that is larger than one; nothing where one holds it. */
function tileFields(
  { image, tile, tileOverlap, vaeTiling }: GenerateRequest,
  factor: number,
): Partial<ResolvedRequest> {
  const { width, height } = preparedSize(image!, { multiple: factor });
  const whole = LIMITS.size.max / factor;
  const larger = Math.max(width, height);
  const usual = larger <= whole ? whole : USUAL_TILE;
  const most = side("tile", tile ?? usual, undefined, LIMITS.tile);
  const half = { min: 0, max: most / 2 };
  const overlap = integer("tileOverlap", tileOverlap ?? Math.floor(most / 4), half);
  if (larger <= most) return {};
  const decoded = flag("vaeTiling", vaeTiling) || larger > whole;
  return { tile: most, tileOverlap: overlap, ...(decoded && { vaeTiling: true }) };
}

/** The largest tile whose plans fit WebGPU's default limits in f16 (test/model/tiled-plans.test.ts). */
const USUAL_TILE = 256;

/** The last ⌊steps · strength⌋ steps run. 0 is the image itself; between it and one step there is nothing. */
function strengthOf(value: unknown, steps: number): number {
  const strength = real("strength", value, LIMITS.strength);
  if (strength === 0 || Math.trunc(steps * strength) >= 1) return strength;
  const least = Math.ceil(1000 / steps) / 1000;
  throw bad(
    `strength ${strength} of ${steps} steps leaves none to run: strength must be at least ${least}, ` +
      `or steps at least ${Math.ceil(1 / strength)}`,
  );
}

/** The steps that run, as far as they are known before the checkpoint is. */
function scaleCount(
  request: GenerateRequest,
  { kind }: RequestDefaults,
  steps: number,
  usual: number | undefined,
): number | undefined {
  const unknown = request.steps === undefined || (request.image && request.strength === undefined);
  if (kind === undefined && unknown) return undefined;
  const strength = usual === undefined ? 1 : (request.strength ?? usual);
  return strength === 0 ? steps : Math.trunc(steps * strength);
}

/** What every task takes; a value that is the default is left out, so that a record stays short. */
function otherFields(request: GenerateRequest): Partial<ResolvedRequest> {
  const fields = {
    eta: real("eta", request.eta ?? 0, LIMITS.eta) || undefined,
    rng: otherThan("torch", oneOf("rng", request.rng ?? "torch", GENERATOR_KINDS)),
    clipSkip: integer("clipSkip", request.clipSkip ?? 0, LIMITS.clipSkip) || undefined,
    promptSyntax: otherThan(
      "plain",
      oneOf("promptSyntax", request.promptSyntax ?? "plain", PROMPT_SYNTAXES),
    ),
    vaeTiling: flag("vaeTiling", request.vaeTiling) || undefined,
    watermark: flag("watermark", request.watermark) || undefined,
    perImageSeeds: flag("perImageSeeds", request.perImageSeeds) || undefined,
  };
  return withoutAbsent(fields) as Partial<ResolvedRequest>;
}

function otherThan<T>(usual: T, value: T): T | undefined {
  return value === usual ? undefined : value;
}

/** The class names that diffusers users know, beside our own names. */
const SCHEDULER_ALIASES: Readonly<Record<string, string>> = {
  plms: "pndm",
  // Two names share a class: the plain one comes last, and wins.
  ...Object.fromEntries(
    Object.entries(SAMPLER_CLASSES)
      .toReversed()
      .flatMap(([name, known]) => (known === null ? [] : [[known.toLowerCase(), name]])),
  ),
};

function schedulerName(value: unknown, known: readonly string[]): string {
  if (typeof value === "string") {
    const key = value.toLowerCase();
    const name = Object.hasOwn(SCHEDULER_ALIASES, key) ? SCHEDULER_ALIASES[key] : key;
    if (name !== undefined && known.includes(name)) return name;
  }
  throw bad(`scheduler must be ${namesOf(known)} (got ${show(value)})`);
}

/** All names are too many for a message: the solvers, and how σ can be spaced. */
function namesOf(known: readonly string[]): string {
  if (known !== SCHEDULERS) return `one of ${known.join(", ")}`;
  const spacings = SIGMA_SPACINGS.map((each) => `_${each}`).join(", ");
  return `one of ${SAMPLER_NAMES.join(", ")}; those with sigmas also with ${spacings}`;
}
