/** The options of `npm run verify`. */
import { parseArgs } from "node:util";
import { DiffusionError } from "../../engine/errors.ts";
import { LIMITS } from "../../model/limits.ts";
import { DEFAULTS, FULL_STEPS, type Settings, STAGE_NAMES, VERIFY_SCHEDULERS } from "./settings.ts";

export const USAGE = `usage: npm run verify -- --model DIR|FILE [options]

Compares every stage with diffusers in Python, on your own checkpoint, and writes a report.
Exit status: 0 all within bounds, 1 not, 2 wrong usage or no Python, 3 no usable GPU, 4 weights.

  --model DIR|FILE      diffusers folder, or single file in the original's layout
  --out DIR             where report.md and report.json go (default ./verify-report)
  --python PATH         a Python with tools/reference/requirements.txt (default WGSL_DIFFUSION_PYTHON, else python3)
  --width N --height N  of the picture that comes out (default 128x128)
  --steps N             (default 4)
  --full                the checkpoint's own size (512 or 768), and 25 steps
  --dtype f32|f16       one of both (default both)
  --stage NAME          one of ${STAGE_NAMES.join(", ")}; again for more (default all)
  --timesteps N         UNet evaluations: first, middle, last timestep (default 3)
  --prompt TEXT --negative-prompt TEXT --seed N --guidance-scale X --strength X --noise-level N
  --scheduler NAME      ${VERIFY_SCHEDULERS.join(", ")} (default the checkpoint's own)
  --config DIR          configuration for a single file of unusual size
  --prediction eps|v    what the UNet predicts, where the checkpoint does not say it
  --reference DIR|FILE  what diffusers reads instead: another copy of the same weights
  --record DIR          keeps what diffusers computed; --recorded DIR takes it, without Python
`;

export interface Wanted {
  readonly model: string;
  readonly reference: string;
  readonly out: string;
  readonly python: string;
  readonly full: boolean;
  readonly dtypes: readonly ("f16" | "f32")[];
  readonly config: string | undefined;
  readonly prediction: "eps" | "v" | undefined;
  readonly record: string | undefined;
  readonly recorded: string | undefined;
  /** What was given; the rest has its default. */
  readonly settings: Partial<Settings>;
}

const TEXT = { type: "string" } as const;
const FLAG = { type: "boolean" } as const;
const SEVERAL = { type: "string", multiple: true } as const;
const OPTIONS = {
  ...{ model: TEXT, out: TEXT, python: TEXT, width: TEXT, height: TEXT, steps: TEXT },
  ...{ full: FLAG, help: FLAG, dtype: SEVERAL, stage: SEVERAL },
  ...{ timesteps: TEXT, prompt: TEXT, "negative-prompt": TEXT, seed: TEXT },
  ...{ "guidance-scale": TEXT, strength: TEXT, "noise-level": TEXT, scheduler: TEXT },
  ...{ config: TEXT, prediction: TEXT, reference: TEXT, record: TEXT, recorded: TEXT },
} as const;

/** Throws BAD_REQUEST, naming the option and what it may be. */
export function readArguments(
  args: readonly string[],
  env: Readonly<Record<string, string | undefined>>,
): Wanted | "help" {
  const given = parsed(args);
  if (given.help) return "help";
  if (given.model === undefined) throw wrong("--model is missing: name a folder or a file");
  const dtypes = chosen("--dtype", given.dtype, ["f32", "f16"]) ?? ["f32", "f16"];
  const [prediction] = chosen("--prediction", list(given.prediction), ["eps", "v"]) ?? [];
  return {
    model: given.model,
    reference: given.reference ?? given.model,
    out: given.out ?? "verify-report",
    python: given.python ?? env.WGSL_DIFFUSION_PYTHON ?? "python3",
    full: given.full ?? false,
    ...{ dtypes, prediction, config: given.config },
    ...{ record: given.record, recorded: given.recorded },
    settings: settingsOf(given),
  };
}

type Given = ReturnType<typeof parsed>;

function parsed(args: readonly string[]) {
  try {
    return parseArgs({ args: [...args], options: OPTIONS }).values;
  } catch (cause) {
    throw wrong((cause as Error).message);
  }
}

function settingsOf(given: Given): Partial<Settings> {
  const number = (name: keyof Given & string, range: { min: number; max: number }, step = 0) =>
    numberOf(`--${name}`, given[name] as string | undefined, range, step);
  const { size, steps, guidanceScale, strength, noiseLevel } = LIMITS;
  const [scheduler] = chosen("--scheduler", list(given.scheduler), VERIFY_SCHEDULERS) ?? [];
  const settings = {
    prompt: given.prompt,
    negativePrompt: given["negative-prompt"],
    scheduler,
    stages: chosen("--stage", given.stage, STAGE_NAMES),
    width: number("width", size, size.multiple),
    height: number("height", size, size.multiple),
    steps: number("steps", steps, 1),
    timesteps: number("timesteps", { min: 1, max: 3 }, 1),
    seed: number("seed", { min: 0, max: 2 ** 32 - 1 }, 1),
    guidanceScale: number("guidance-scale", guidanceScale),
    strength: number("strength", strength),
    noiseLevel: number("noise-level", noiseLevel, 1),
  };
  const {
    steps: count = given.full ? FULL_STEPS : DEFAULTS.steps,
    strength: share = DEFAULTS.strength,
  } = settings;
  if (Math.floor(count * share) < 1) {
    throw wrong(`--strength ${share} of ${count} steps leaves none to run`);
  }
  const known = Object.entries(settings).filter(([, value]) => value !== undefined);
  return Object.fromEntries(known) as Partial<Settings>;
}

function numberOf(
  option: string,
  text: string | undefined,
  { min, max }: { readonly min: number; readonly max: number },
  step: number,
): number | undefined {
  if (text === undefined) return undefined;
  const value = text.trim() === "" ? Number.NaN : Number(text);
  if (value >= min && value <= max && (step === 0 || value % step === 0)) return value;
  const kind = step === 0 ? "a number" : step === 1 ? "a whole number" : `a multiple of ${step}`;
  throw wrong(`${option} must be ${kind} from ${min} to ${max} (got ${text.slice(0, 40)})`);
}

function chosen<T extends string>(
  option: string,
  given: readonly string[] | undefined,
  all: readonly T[],
): readonly T[] | undefined {
  const odd = given?.find((value) => !all.includes(value as T));
  if (odd === undefined) return given as readonly T[] | undefined;
  throw wrong(`${option} must be one of ${all.join(", ")} (got ${odd.slice(0, 40)})`);
}

function list(value: string | undefined): readonly string[] | undefined {
  return value === undefined ? undefined : [value];
}

function wrong(message: string): DiffusionError {
  return new DiffusionError("BAD_REQUEST", message, { hint: "npm run verify -- --help" });
}
