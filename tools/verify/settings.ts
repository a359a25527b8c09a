/** What is compared, and at what size: small enough for a CPU unless more is asked for. */
import type { ModelFolder } from "../../model/folder.node.ts";

/** The stages in the order that they run; `depth`, `inpaint` and `noise-level` where the checkpoint has them. */
export const STAGE_NAMES = [
  "tokens",
  "text",
  "unet",
  "scheduler",
  "encode",
  "decode",
  "inpaint",
  "depth",
  "noise-level",
  "picture",
] as const;
export type StageName = (typeof STAGE_NAMES)[number];

/** The solvers that the Python side knows by our names. */
export const VERIFY_SCHEDULERS = [
  "ddim",
  "pndm",
  "euler",
  "heun",
  "lms",
  "dpmpp_2m",
  "deis",
  "unipc",
] as const;

export interface Settings {
  readonly prompt: string;
  readonly negativePrompt: string;
  /** For the tokenizer alone. */
  readonly prompts: readonly string[];
  readonly seed: number;
  readonly steps: number;
  readonly guidanceScale: number;
  /** null: the checkpoint's own. */
  readonly scheduler: string | null;
  /** Of the picture that comes out. */
  readonly width: number;
  readonly height: number;
  readonly strength: number;
  readonly noiseLevel: number;
  /** UNet evaluations: the first, the middle and the last timestep of a run. */
  readonly timesteps: number;
  /** null: all. */
  readonly stages: readonly StageName[] | null;
}

/** Words, marks, other scripts, and more tokens than fit. */
const PROMPTS = [
  "",
  "a photograph of an astronaut riding a horse",
  "A Cat's 3.5% of   naïve café — “quoted”, isn't it?",
  "一只猫 и собака 🙂 <|endoftext|> &amp; [brackets] (x:1.3)",
  "mountain lake at dawn, mist, oil on canvas, ".repeat(12),
];

export const DEFAULTS: Settings = {
  prompt: PROMPTS[1]!,
  negativePrompt: "blurry, text",
  prompts: PROMPTS,
  seed: 42,
  steps: 4,
  guidanceScale: 7.5,
  scheduler: null,
  width: 128,
  height: 128,
  strength: 0.8,
  noiseLevel: 20,
  timesteps: 3,
  stages: null,
};

/** Of `--full`. */
export const FULL_STEPS = 25;

/** `--full`: the size that the checkpoint was trained for, and 25 steps. */
export function fullSize({ unet, vae }: ModelFolder): Pick<Settings, "width" | "height" | "steps"> {
  const factor = 2 ** (vae.config.blockOutChannels.length - 1);
  const [height, width] = unet.config.sampleSize ?? [64, 64];
  return { width: width * factor, height: height * factor, steps: FULL_STEPS };
}
