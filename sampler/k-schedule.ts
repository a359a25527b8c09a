import { choiceOf, type SchedulerConfig } from "./config.ts";
import { cleanOfSigma, type PredictionType } from "./prediction.ts";
import { type Run, timestepsOf } from "./run.ts";
import { roundHalfEven } from "./schedule.ts";
import { interpolate, sigmaTable, spacedSigmas, spacingOf, timestepReader } from "./sigmas.ts";
import type { Start, Step } from "./step.ts";

const { fround } = Math;

/** The σ of a run of k-diffusion's solvers. */
export type KSchedule = {
  readonly timesteps: readonly number[];
  /** One more than there are timesteps. */
  readonly sigmas: readonly number[];
  /** The timestep of any σ. */
  readonly timestepOf: (sigma: number) => number;
  readonly initNoiseSigma: number;
  readonly start: Start;
};

/**
 * σ at each timestep by linear interpolation, or spaced anew between the first and the last of these,
 * and the final one after them. `whole` rounds Karras's timesteps, as diffusers does for KDPM2.
 */
export function kSchedule(config: SchedulerConfig, run: Run, whole = false): KSchedule {
  const table = sigmaTable(config);
  const timestepOf = timestepReader(table);
  const final = "final_sigmas_type" in config ? finalSigma(config, table) : 0;
  const list = timestepsOf(config, run).map(
    config.timestep_spacing === "linspace" ? fround : roundHalfEven,
  );
  const own = list.map((timestep) => interpolate(table, timestep));
  const spacing = spacingOf(config);
  const spaced = spacing
    ? spacedSigmas(config, spacing, own.length, { max: own[0]!, min: own.at(-1)! })
    : own;
  const rounded = whole && spacing === "karras" ? roundHalfEven : fround;
  const sigmas = [...spaced.map(fround), final];
  return {
    timesteps: spacing ? spaced.map((sigma) => rounded(timestepOf(sigma))) : list,
    sigmas,
    timestepOf: (sigma) => fround(timestepOf(sigma)),
    initNoiseSigma: initialSigma(config, Math.max(...sigmas)),
    start: { image: 1, noise: sigmas[run.skipped]! },
  };
}

/** What follows the last step's σ: 0, or that of timestep 0. */
export function finalSigma(config: SchedulerConfig, table: Float32Array): number {
  const final = choiceOf(config, "final_sigmas_type", ["zero", "sigma_min"]);
  return final === "zero" ? 0 : table[0]!;
}

/** Leading spacing starts below σmax: diffusers widens the first noise to √(σ²+1) there. */
function initialSigma(config: SchedulerConfig, sigma: number): number {
  if (config.timestep_spacing !== "leading") return sigma;
  return fround(Math.sqrt(fround(fround(sigma * sigma) + 1)));
}

/** What the model sees of a sample at σ, and the x0 that follows from its answer. */
export function seenAt(type: PredictionType, sigma: number): Pick<Step, "inputScale" | "clean"> {
  return { inputScale: 1 / Math.sqrt(sigma * sigma + 1), clean: cleanOfSigma(type, sigma) };
}

/** A step from σ to `to` as a deterministic one to `down` and a noise of deviation `up` (η = 1). */
export function ancestral(
  from: number,
  to: number,
): { readonly up: number; readonly down: number } {
  const up = Math.sqrt((to ** 2 * (from ** 2 - to ** 2)) / from ** 2);
  return { up, down: Math.sqrt(to ** 2 - up ** 2) };
}
