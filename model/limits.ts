/** The bounds of a request, and the names that it may choose among. */
import { SAMPLER_VARIANTS } from "../sampler/index.ts";

/** The bounds of a request. */
export const LIMITS = {
  promptLength: 4000,
  steps: { min: 1, max: 1000 },
  guidanceScale: { min: 0, max: 100 },
  guidanceRescale: { min: 0, max: 1 },
  guidanceStart: { min: 0, max: 1 },
  guidanceStop: { min: 0, max: 1 },
  guidanceFrom: { min: 0, max: 100 },
  thresholdingRatio: { min: 0, max: 1 },
  sampleMaxValue: { min: 1, max: 1000 },
  mimicScale: { min: 0, max: 100 },
  strength: { min: 0, max: 1 },
  noiseLevel: { min: 0, max: 350 },
  eta: { min: 0, max: 1 },
  clipSkip: { min: 0, max: 24 },
  size: { min: 64, max: 2048, multiple: 8 },
  /** A side of the picture to enlarge, in pixels: the state of 1024x1024 latents nearly fills a binding (128 MiB). */
  enlarged: { max: 1024 },
  /** A side of a tile of it. One of 512 is what `size` allows in one piece. */
  tile: { min: 16, max: 512, multiple: 8 },
  numImages: { min: 1, max: 16 },
} as const;

/** The names that `scheduler` takes: the solvers, and those with sigmas also with each spacing of them. */
export const SCHEDULERS: readonly string[] = SAMPLER_VARIANTS;

/** How timesteps are spread; `ays`: Align Your Steps. */
export const TIMESTEP_SPACINGS = ["leading", "linspace", "trailing", "ays"] as const;

export type TimestepSpacing = (typeof TIMESTEP_SPACINGS)[number];

/** How the guidance scale goes over the steps, where it is not a list. */
export const GUIDANCE_SHAPES = ["constant", "linear", "cosine"] as const;

export type GuidanceShape = (typeof GUIDANCE_SHAPES)[number];

export const THRESHOLDINGS = ["dynamic", "mimic"] as const;

export type Thresholding = (typeof THRESHOLDINGS)[number];

export const PROMPT_SYNTAXES = ["plain", "a1111"] as const;

export type PromptSyntax = (typeof PROMPT_SYNTAXES)[number];
