import { SamplerError, type SchedulerConfig } from "./config.ts";
import { alphaReader, alphasCumprod, timestepList, trainTimesteps } from "./schedule.ts";
import type { Start } from "./step.ts";

/** Which part of which schedule runs. */
export type Run = {
  /** Of the whole schedule. */
  readonly steps: number;
  /** In place of the configuration's spacing. */
  readonly timesteps?: readonly number[];
  /** Steps at the noisy end that do not run. */
  readonly skipped: number;
  readonly eta: number;
};

/** The run's timesteps, noisiest first, those that it skips with them. */
export function timestepsOf(config: SchedulerConfig, run: Run): readonly number[] {
  return run.timesteps ?? timestepList(config, run.steps);
}

/**
 * The steps that diffusers' get_timesteps leaves out for `strength`: it runs the last
 * ⌊steps·strength⌋. Throws SamplerError where not even one is left, naming the least strength.
 */
export function skippedSteps(steps: number, strength: number): number {
  if (!(strength > 0 && strength <= 1)) {
    throw new SamplerError(`strength is ${strength}, wanted more than 0, up to 1`);
  }
  const left = Math.trunc(steps * strength);
  if (left >= 1) return steps - left;
  throw new SamplerError(
    `strength ${strength} of ${steps} steps leaves none to run: strength has to be ${leastStrength(steps)} ` +
      `or more, or steps ${Math.ceil(1 / strength)} or more`,
  );
}

/** 1/steps to three digits, rounded up so that it is enough. */
function leastStrength(steps: number): number {
  const digits = 10 ** Math.ceil(Math.log10(steps) + 2);
  return Math.ceil(digits / steps) / digits;
}

/**
 * A list of a caller's own. Throws SamplerError unless it holds whole numbers that descend from below
 * num_train_timesteps to 0 or more.
 */
export function checkTimesteps(config: SchedulerConfig, timesteps: readonly number[]): void {
  const count = trainTimesteps(config);
  const fits = (timestep: number, i: number) =>
    Number.isInteger(timestep) && timestep >= 0 && timestep < (timesteps[i - 1] ?? count);
  if (timesteps.length > 0 && timesteps.every(fits)) return;
  const at = timesteps.findIndex((timestep, i) => !fits(timestep, i));
  throw new SamplerError(
    `timesteps: ${at < 0 ? "the list is empty" : `${timesteps[at]} (number ${at + 1})`}; ` +
      `wanted whole numbers below ${count}, each smaller than the one before`,
  );
}

/** The noisy picture at a timestep, √ᾱ·x0 + √(1−ᾱ)·ε: add_noise of the schedulers on ᾱ. */
export function startOfAlpha(config: SchedulerConfig, timestep: number): Start {
  const alpha = alphaReader(config)(timestep);
  return { image: Math.sqrt(alpha), noise: Math.sqrt(1 - alpha) };
}

/** ᾱ of the timestep after number `i`, as DDPM goes: the next in the list, and 1 after the last. */
export function alphaAfter(
  config: SchedulerConfig,
  timesteps: readonly number[],
): (i: number) => number {
  const table = alphasCumprod(config);
  return (i) => (i + 1 < timesteps.length ? table[timesteps[i + 1]!]! : 1);
}
