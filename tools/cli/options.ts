/**
 * The options of `generate` as tables: ours, the names that users of stable-diffusion.cpp and
 * diffusers type, and those of later versions, which are refused by name instead of ignored.
 */
import { type Command, Option } from "commander";
import { DiffusionError } from "../../engine/errors.ts";
import { SCHEDULERS } from "../../model/request.ts";

/** `flags` and `text` as commander takes them. All values are text here: `generateOptions` reads them. */
const OPTIONS: readonly (readonly [flags: string, text: string])[] = [
  ["-m, --model <dir>", "folder of the checkpoint (default: the small one that ships)"],
  ["-n, --negative-prompt <text>", "what the picture should not show"],
  ["--steps <n>", "denoising steps, 1 to 1000 (default 50)"],
  ["--guidance-scale <x>", "how strongly the prompt steers, 0 to 100 (default 7.5)"],
  ["--scheduler <name>", `${SCHEDULERS.join(", ")} (default: the checkpoint's own)`],
  ["-s, --seed <n>", "the same seed gives the same picture; -1 is a random one (default)"],
  ["-W, --width <pixels>", "a multiple of 8, 64 to 2048 (default: the checkpoint's own)"],
  ["-H, --height <pixels>", "as --width"],
  ["-b, --num-images <n>", "pictures at once, 1 to 16 (default 1)"],
  ["--dtype <type>", "f16 or f32: how weights and activations are stored"],
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
  "--type": "dtype",
  "--disable-image-metadata": "metadata",
};

/** What later versions take. The value is what the option is for. */
const LATER: Readonly<Record<string, string>> = {
  "--image <file>": "image-to-image",
  "--init-img <file>": "image-to-image",
  "--strength <x>": "image-to-image",
  "--mask <file>": "inpainting",
  "--depth <file>": "depth-to-image",
  "--noise-level <n>": "upscaling",
  "--guidance-rescale <x>": "guidance rescale",
  "--eta <x>": "stochastic samplers",
  "--rng <name>": "other random generators",
  "--clip-skip <n>": "skipping text layers",
  "--prediction <kind>": "overriding the checkpoint's prediction type",
  "--prompt-syntax <name>": "weighted prompts",
  "--config <dir>": "single-file checkpoints",
  "--vae-tiling": "tiled decoding",
  "--no-matrix": "matrix kernels",
  "--watermark": "watermarks",
};

/** Declares every option of `generate` on `command`. */
export function declareOptions(command: Command): Command {
  for (const [flags, text] of OPTIONS) command.option(flags, text);
  command.addOption(new Option("-p, --prompt <text>").hideHelp());
  for (const [name, target] of Object.entries(ALIASES)) addAlias(command, name, target);
  for (const [flags, purpose] of Object.entries(LATER)) refuse(command, flags, purpose);
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

function refuse(command: Command, flags: string, purpose: string): void {
  const option = new Option(flags).hideHelp();
  command.addOption(option);
  command.on(`option:${option.name()}`, () => {
    throw new DiffusionError("BAD_REQUEST", `${option.long} is not in this version`, {
      hint: `It belongs to ${purpose}. This version paints from text.`,
    });
  });
}

/** What the command line said, read but not yet judged: ranges are `validateRequest`'s. */
export interface GenerateOptions {
  readonly prompt: string;
  readonly model: string | undefined;
  readonly negativePrompt: string | undefined;
  readonly steps: number | undefined;
  readonly guidanceScale: number | undefined;
  readonly scheduler: string | undefined;
  readonly seed: number | undefined;
  readonly width: number | undefined;
  readonly height: number | undefined;
  readonly numImages: number | undefined;
  readonly dtype: "f16" | "f32" | undefined;
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
    steps: number("--steps", text("steps")),
    guidanceScale: number("--guidance-scale", text("guidanceScale")),
    scheduler: text("scheduler"),
    seed: number("--seed", text("seed")),
    width: number("--width", text("width")),
    height: number("--height", text("height")),
    numImages: number("--num-images", text("numImages")),
    dtype: dtype(text("dtype")),
    output: text("output"),
    force: values.force === true,
    metadata: values.metadata !== false,
    strict: values.strict === true,
    json: values.json === true,
    quiet: values.quiet === true,
  };
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

/** Number() is too kind: it takes "", " 1 ", "0x10" and "Infinity". */
function number(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)) return Number(value);
  throw badRequest(`${name} must be a number (got ${JSON.stringify(value.slice(0, 40))})`);
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

function badRequest(message: string, hint?: string): DiffusionError {
  return new DiffusionError("BAD_REQUEST", message, hint === undefined ? {} : { hint });
}
