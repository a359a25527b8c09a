/** What a request says of its sampler: the fields beside its name, checked, and the table that they make. */
import { DiffusionError } from "../engine/errors.ts";
import { createSampler, type Sampler, SamplerError } from "../sampler/index.ts";
import { bad, flag, integer, oneOf, show } from "./checks.ts";
import type { SchedulerConfig } from "./config/scheduler.ts";
import { LIMITS, TIMESTEP_SPACINGS } from "./limits.ts";
import type { GenerateRequest, ResolvedRequest } from "./request.ts";

/** How many steps run: those asked for, or as many as there are timesteps of the caller's own. */
export function stepsOf({ steps, timesteps }: GenerateRequest, usual: number): number {
  if (timesteps === undefined) return integer("steps", steps ?? usual, LIMITS.steps);
  const count = timestepList(timesteps).length;
  if (steps !== undefined && integer("steps", steps, LIMITS.steps) !== count)
    throw bad(`steps is ${steps}, and there are ${count} timesteps: leave one of them out`);
  return count;
}

/** What runs is judged by the sampler; here what no sampler takes is refused. */
export function samplingFields(request: GenerateRequest): Partial<ResolvedRequest> {
  const { timesteps, timestepSpacing, schedulerConfig } = request;
  if (timesteps !== undefined && timestepSpacing !== undefined)
    throw bad("timesteps and timestepSpacing exclude one another: a list is a spacing of its own");
  return {
    ...(timesteps !== undefined && { timesteps: [...timestepList(timesteps)] }),
    ...(timestepSpacing !== undefined && {
      timestepSpacing: oneOf("timestepSpacing", timestepSpacing, TIMESTEP_SPACINGS),
    }),
    ...(flag("rescaleBetasZeroSnr", request.rescaleBetasZeroSnr) && { rescaleBetasZeroSnr: true }),
    ...(schedulerConfig !== undefined && schedulerSettings(schedulerConfig)),
  };
}

function timestepList(value: unknown): readonly number[] {
  const { max } = LIMITS.steps;
  const what = `timesteps must be 1 to ${max} whole numbers, each smaller than the one before`;
  if (!Array.isArray(value)) throw bad(`${what} (got ${show(value)})`);
  const list: readonly unknown[] = value;
  if (list.length < 1 || list.length > max) throw bad(`${what} (got ${list.length} of them)`);
  const fits = (each: unknown, i: number) =>
    Number.isSafeInteger(each) &&
    Number(each) >= 0 &&
    (i === 0 || Number(each) < Number(list[i - 1]));
  const at = list.findIndex((each, i) => !fits(each, i));
  if (at >= 0) throw bad(`${what} (got ${show(list[at])}, number ${at + 1})`);
  return list as readonly number[];
}

/** Keys that have an option of their own. */
const HAVE_OPTIONS: Readonly<Record<string, string>> = {
  timestep_spacing: "timestepSpacing",
  rescale_betas_zero_snr: "rescaleBetasZeroSnr",
  prediction_type: "prediction, where the checkpoint is opened",
};

function schedulerSettings(value: unknown): Partial<ResolvedRequest> {
  if (typeof value !== "object" || value === null || Array.isArray(value))
    throw bad(`schedulerConfig must be an object of settings (got ${show(value)})`);
  for (const [key, setting] of Object.entries(value)) {
    const other = Object.hasOwn(HAVE_OPTIONS, key) ? HAVE_OPTIONS[key] : undefined;
    if (other) throw bad(`schedulerConfig: ${key} is the option ${other}`);
    const plain = (each: unknown) => ["number", "string", "boolean"].includes(typeof each);
    if (!plain(setting) && !(Array.isArray(setting) && setting.every(plain)))
      throw bad(`schedulerConfig: ${key} must be a number, text, true, false or a list of them`);
  }
  return Object.keys(value).length > 0 ? { schedulerConfig: { ...value } } : {};
}

/** The table of a run. Throws SCHEDULER for what the sampler cannot follow. */
export function samplerOf(request: ResolvedRequest, file: SchedulerConfig): Sampler {
  const { eta = 0, strength = 1, timestepSpacing: spacing, rescaleBetasZeroSnr } = request;
  const swap = request.scheduler === file.scheduler ? undefined : request.scheduler;
  const timesteps = spacing === "ays" ? spacing : request.timesteps;
  const spaced = spacing !== undefined && spacing !== "ays" && { timestep_spacing: spacing };
  try {
    return createSampler(swap, file.values, request.steps, {
      ...{ eta, strength, config: { ...request.schedulerConfig, ...spaced } },
      ...(timesteps && { timesteps }),
      ...(rescaleBetasZeroSnr && { rescaleBetasZeroSnr }),
    });
  } catch (cause) {
    if (!(cause instanceof SamplerError)) throw cause;
    throw new DiffusionError("SCHEDULER", cause.message, { cause });
  }
}
