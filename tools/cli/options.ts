/**
 * The options of `generate` as tables: ours, and the names that users of stable-diffusion.cpp and
 * diffusers type.
 */
import { type Command, Option } from "commander";
import { DiffusionError } from "../../engine/errors.ts";
import type { SchedulerSettings } from "../../model/request.ts";
import { SAMPLER_NAMES } from "../../sampler/index.ts";
import type { GivenOptions } from "../metadata.ts";
import { badRequest, number, numberList, numbers, settings, texts } from "./values.ts";

/** `flags` and `text` as commander takes them. All values are text here: `generateOptions` reads them. */
const OPTIONS: readonly (readonly [flags: string, text: string])[] = [
  [
    "-m, --model <name>",
    "folder, single file, org/name on the hub, or a link (default: the one that ships)",
  ],
  ["-n, --negative-prompt <text>", "what the picture should not show"],
  ["--steps <n>", "denoising steps, 1 to 1000 (default 50); a list paints a sheet"],
  [
    "--guidance-scale <x>",
    "how strongly the prompt steers, 0 to 100 (default 7.5); a list paints a sheet",
  ],
  ["--guidance-rescale <x>", "draws the spread of guided pictures back, 0 to 1 (default 0)"],
  ["--guidance-start <x>", "guide from this fraction of the run, 0 to 1 (default 0)"],
  ["--guidance-stop <x>", "… to this one; in the other steps the prompt alone counts (default 1)"],
  [
    "--guidance-schedule <how>",
    "constant (default), linear, cosine, or a scale for each step that runs: 9,7,5",
  ],
  ["--guidance-from <x>", "where a linear or cosine schedule begins (default 1)"],
  [
    "--thresholding <name>",
    "dynamic (diffusers') or mimic (the webui extension's): keeps x0 in range",
  ],
  ["--thresholding-ratio <x>", "its quantile, 0 to 1 (default 0.995; mimic 1)"],
  ["--sample-max-value <x>", "the most that dynamic takes for a threshold, 1 to 1000 (default 1)"],
  ["--mimic-scale <x>", "the guidance scale whose spread mimic keeps (default 7)"],
  [
    "--scheduler <name>",
    `${SAMPLER_NAMES.join(", ")}; most also with _karras, _exponential or _beta (default: the checkpoint's own); a list paints a sheet`,
  ],
  ["--timesteps <list>", "whole timesteps, as 999,750,500,250, in place of --steps"],
  [
    "--timestep-spacing <name>",
    "leading, linspace, trailing or ays, Align Your Steps (default: as the checkpoint says)",
  ],
  ["--rescale-betas-zero-snr", "end the noisy end of the schedule in pure noise"],
  [
    "--scheduler-config <settings>",
    "settings over those of the scheduler's file, as solver_order=3,euler_at_final=true",
  ],
  [
    "-s, --seed <n>",
    "the same seed gives the same picture; -1 is a random one (default); a list paints a sheet",
  ],
  ["-W, --width <pixels>", "a multiple of 8, 64 to 2048 (default: the checkpoint's own)"],
  ["-H, --height <pixels>", "as --width"],
  ["-i, --image <file>", "a picture to start from, to repaint, or to enlarge"],
  ["--strength <x>", "how far from the picture to go, 0 to 1 (default 0.8; repainting 1)"],
  ["--mask <file>", "what of the picture is repainted: its white"],
  ["--mask-mode <name>", "white (default) or alpha: what is transparent in the mask is repainted"],
  ["--depth <file>", "a depth map, near is bright (default: estimated of the picture)"],
  ["--noise-level <n>", "noise on the picture that is enlarged, 0 to 350 (default 20)"],
  [
    "--tile <n>",
    "enlarges in tiles of at most so many of its pixels a side (default: 256, from 512 on)",
  ],
  ["--tile-overlap <n>", "pixels that neighbouring tiles share (default: a quarter of a tile)"],
  ["--eta <x>", "noise in each step of ddim and tcd, 0 to 1 (default 0)"],
  ["--rng <name>", "whose noise a seed gives: torch (default), cuda or numpy"],
  ["--clip-skip <n>", "layers of the text encoder to leave out at its end (default 0)"],
  [
    "--prompt-syntax <name>",
    "plain (default) or a1111: (emphasis:1.2), [from:to:when], [a|b], AND, prompts of any length",
  ],
  ["--prediction <kind>", "eps or v: what the UNet predicts, where the checkpoint does not say it"],
  ["--config <dir>", "configuration files for a single file of unusual size"],
  ["--vae-tiling", "encode and decode in tiles, which takes less memory"],
  ["--watermark", "the invisible watermark of the original scripts"],
  ["-b, --num-images <n>", "pictures at once, 1 to 16 (default 1)"],
  ["--per-image-seeds", "each of several pictures has a seed of its own: seed, seed + 1, ..."],
  ["--dtype <type>", "f16 or f32: how weights and activations are stored"],
  ["--no-matrix", "do not use the GPU's matrix units"],
  ["-o, --output <file>", ".png, .safetensors (the final latents) or - (default: a free out.png)"],
  ["--force", "overwrite the output file"],
  ["--no-metadata", "leave prompt and settings out of the file"],
  ["--strict", "fail where else there would be a warning"],
  ["--json", "one JSON object a line on standard output"],
  ["-q, --quiet", "no progress, no warnings"],
];

/** Other names for our options; they take a value where ours does. */
const ALIASES: Readonly<Record<string, string>> = {
  "--num-inference-steps": "steps",
  "--cfg-scale": "guidanceScale",
  "--sampling-method": "scheduler",
  "--sampler": "scheduler",
  "--num-images-per-prompt": "numImages",
  "--batch-count": "numImages",
  "--init-img": "image",
  "--type": "dtype",
  "--disable-image-metadata": "metadata",
};

/** Declares every option of `generate` on `command`. */
export function declareOptions(command: Command): Command {
  for (const [flags, text] of OPTIONS) command.option(flags, text);
  command.addOption(new Option("-p, --prompt <text>").hideHelp());
  for (const [name, target] of Object.entries(ALIASES)) addAlias(command, name, target);
  return command;
}

function addAlias(command: Command, name: string, target: string): void {
  const isSwitch = target === "metadata";
  const option = new Option(isSwitch ? name : `${name} <value>`).hideHelp();
  command.addOption(option);
  command.on(`option:${option.name()}`, (value: string) => {
    command.setOptionValue(target, isSwitch ? false : value);
  });
}

/** Several make a sheet. */
type OneOrMore<T> = T | readonly T[] | undefined;

/** What the command line said, read but not yet judged: ranges are `validateRequest`'s. */
export interface GenerateOptions {
  readonly prompt: string;
  readonly model: string | undefined;
  readonly negativePrompt: string | undefined;
  readonly steps: OneOrMore<number>;
  readonly guidanceScale: OneOrMore<number>;
  readonly scheduler: OneOrMore<string>;
  readonly seed: OneOrMore<number>;
  readonly timesteps: readonly number[] | undefined;
  readonly timestepSpacing: string | undefined;
  readonly rescaleBetasZeroSnr: true | undefined;
  readonly schedulerConfig: SchedulerSettings | undefined;
  readonly perImageSeeds: true | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly numImages: number | undefined;
  readonly guidanceRescale: number | undefined;
  readonly guidanceStart: number | undefined;
  readonly guidanceStop: number | undefined;
  readonly guidanceSchedule: string | readonly number[] | undefined;
  readonly guidanceFrom: number | undefined;
  readonly thresholding: string | undefined;
  readonly thresholdingRatio: number | undefined;
  readonly sampleMaxValue: number | undefined;
  readonly mimicScale: number | undefined;
  readonly image: string | undefined;
  readonly strength: number | undefined;
  readonly mask: string | undefined;
  readonly maskMode: string | undefined;
  readonly depth: string | undefined;
  readonly noiseLevel: number | undefined;
  readonly tile: number | undefined;
  readonly tileOverlap: number | undefined;
  readonly eta: number | undefined;
  readonly rng: string | undefined;
  readonly clipSkip: number | undefined;
  readonly promptSyntax: string | undefined;
  readonly prediction: string | undefined;
  readonly config: string | undefined;
  readonly vaeTiling: true | undefined;
  readonly watermark: true | undefined;
  readonly dtype: "f16" | "f32" | undefined;
  /** False: no matrix units. Undefined: the device's default. */
  readonly matrix: false | undefined;
  readonly output: string | undefined;
  readonly force: boolean;
  readonly metadata: boolean;
  readonly strict: boolean;
  readonly json: boolean;
  readonly quiet: boolean;
}

/** Reads commander's values. Throws BAD_REQUEST for what is not a number, and for two prompts or none. */
export function generateOptions(
  argument: string | undefined,
  values: Readonly<Record<string, unknown>>,
): GenerateOptions {
  const text = (name: string) => values[name] as string | undefined;
  return {
    prompt: onePrompt(argument, text("prompt")),
    model: text("model"),
    negativePrompt: text("negativePrompt"),
    steps: numbers("--steps", text("steps")),
    guidanceScale: numbers("--guidance-scale", text("guidanceScale")),
    scheduler: texts(text("scheduler")),
    seed: numbers("--seed", text("seed")),
    timesteps: numberList("--timesteps", text("timesteps")),
    timestepSpacing: text("timestepSpacing"),
    rescaleBetasZeroSnr: values.rescaleBetasZeroSnr === true || undefined,
    schedulerConfig: settings("--scheduler-config", text("schedulerConfig")),
    perImageSeeds: values.perImageSeeds === true || undefined,
    width: number("--width", text("width")),
    height: number("--height", text("height")),
    numImages: number("--num-images", text("numImages")),
    guidanceRescale: number("--guidance-rescale", text("guidanceRescale")),
    guidanceStart: number("--guidance-start", text("guidanceStart")),
    guidanceStop: number("--guidance-stop", text("guidanceStop")),
    guidanceSchedule: schedule("--guidance-schedule", text("guidanceSchedule")),
    guidanceFrom: number("--guidance-from", text("guidanceFrom")),
    thresholding: text("thresholding"),
    thresholdingRatio: number("--thresholding-ratio", text("thresholdingRatio")),
    sampleMaxValue: number("--sample-max-value", text("sampleMaxValue")),
    mimicScale: number("--mimic-scale", text("mimicScale")),
    image: text("image"),
    strength: number("--strength", text("strength")),
    mask: text("mask"),
    maskMode: text("maskMode"),
    depth: text("depth"),
    noiseLevel: number("--noise-level", text("noiseLevel")),
    tile: number("--tile", text("tile")),
    tileOverlap: number("--tile-overlap", text("tileOverlap")),
    eta: number("--eta", text("eta")),
    // stable-diffusion.cpp calls PyTorch's own noise cpu.
    rng: text("rng") === "cpu" ? "torch" : text("rng"),
    clipSkip: number("--clip-skip", text("clipSkip")),
    promptSyntax: text("promptSyntax"),
    prediction: text("prediction"),
    config: text("config"),
    vaeTiling: values.vaeTiling === true || undefined,
    watermark: values.watermark === true || undefined,
    dtype: dtype(text("dtype")),
    matrix: values.matrix === false ? false : undefined,
    output: text("output"),
    force: values.force === true,
    metadata: values.metadata !== false,
    strict: values.strict === true,
    json: values.json === true,
    quiet: values.quiet === true,
  };
}

/** What a request does not hold, without which its command would not be complete. */
export function givenOptions(options: GenerateOptions): GivenOptions {
  const { image, mask, depth, dtype, prediction, config } = options;
  return { image, mask, depth, dtype, prediction, config };
}

function onePrompt(argument: string | undefined, option: string | undefined): string {
  if (argument !== undefined && option !== undefined)
    throw badRequest("there are two prompts: one by itself and one with --prompt");
  const prompt = argument ?? option;
  if (prompt !== undefined) return prompt;
  throw badRequest(
    "there is no prompt",
    'Say what to paint: wgsl-diffusion generate "a red circle"',
  );
}

/** A name, or numbers between commas (a single one too). */
function schedule(name: string, value: string | undefined): string | number[] | undefined {
  if (value === undefined || /^[a-z]+$/i.test(value)) return value;
  return value.split(",").map((each) => number(name, each.trim())!);
}

const DTYPES: Readonly<Record<string, "f16" | "f32">> = {
  f16: "f16",
  fp16: "f16",
  float16: "f16",
  f32: "f32",
  fp32: "f32",
  float32: "f32",
};

function dtype(value: string | undefined): "f16" | "f32" | undefined {
  if (value === undefined) return undefined;
  const known = Object.hasOwn(DTYPES, value) ? DTYPES[value] : undefined;
  if (known) return known;
  throw badRequest(`--dtype must be f16 or f32 (got ${JSON.stringify(value.slice(0, 40))})`);
}
