import {
  choiceOf,
  numberOf,
  refuseNonlinear,
  SamplerError,
  type SamplerName,
  type SchedulerConfig,
} from "./config.ts";
import { finalSigma } from "./k-schedule.ts";
import { type PredictionType, predictionType } from "./prediction.ts";
import type { Run } from "./run.ts";
import { roundHalfEven, trailingList, trainTimesteps } from "./schedule.ts";
import { interpolate, sigmaTable, spacedSigmas, spacingOf, timestepReader } from "./sigmas.ts";
import type { Start } from "./step.ts";

const { fround } = Math;

/** A point of a run: x = signal·x0 + noise·ε, σ = noise/signal and λ = −log σ. */
export type Point = {
  readonly sigma: number;
  readonly signal: number;
  readonly noise: number;
  readonly lambda: number;
};

export type LambdaSchedule = {
  readonly type: PredictionType;
  readonly timesteps: readonly number[];
  /** One more than there are timesteps. */
  readonly points: readonly Point[];
  readonly start: Start;
};

/**
 * The schedule of the exponential integrators: one timestep more than there are steps is spread, the
 * last left out, and all of them are whole. Throws SamplerError where the configuration thresholds
 * or flows.
 */
export function lambdaSchedule(
  name: SamplerName,
  config: SchedulerConfig,
  run: Run,
): LambdaSchedule {
  refuseNonlinear(name, config);
  refuseFlow(name, config);
  const table = sigmaTable(config);
  const spacing = spacingOf(config);
  const bounds = { max: table.at(-1)!, min: table[0]! };
  const steps = run.timesteps?.length ?? run.steps;
  const list = run.timesteps ?? wholeTimesteps(name, config, table, run.steps);
  const spaced = spacing
    ? spacedSigmas(config, spacing, steps, bounds)
    : list.map((timestep) => interpolate(table, timestep));
  const timestepOf = timestepReader(table);
  const timesteps = spacing
    ? spaced.map((sigma) => wholeOf(name, config, spacing)(timestepOf(sigma)))
    : list;
  const sigmas = [...spaced.map(fround), lastSigma(name, config, table, spaced)];
  const points = sigmas.map(pointAt);
  const { signal, noise } = points[run.skipped]!;
  return { type: predictionType(config), timesteps, points, start: { image: signal, noise } };
}

function refuseFlow(name: SamplerName, config: SchedulerConfig): void {
  if (config.use_flow_sigmas !== true) return;
  throw new SamplerError(`${name}: use_flow_sigmas true is for flow matching, not for this model`);
}

export function pointAt(sigma: number): Point {
  const signal = 1 / Math.sqrt(sigma * sigma + 1);
  return { sigma, signal, noise: sigma * signal, lambda: -Math.log(sigma) };
}

function wholeTimesteps(
  name: SamplerName,
  config: SchedulerConfig,
  table: Float32Array,
  steps: number,
): number[] {
  const count = trainTimesteps(config);
  const last = count - clippedCount(config, table);
  // DPMSolverSinglestep knows one spacing only.
  const spacing = name === "dpmpp_2s" ? "linspace" : config.timestep_spacing;
  const down = Array.from({ length: steps }, (_, i) => steps - i);
  switch (choiceOf({ timestep_spacing: spacing }, "timestep_spacing", SPACINGS)) {
    case "linspace": {
      const stride = (last - 1) / steps;
      return down.map((i) => (i === steps ? last - 1 : roundHalfEven(i * stride)));
    }
    case "leading": {
      const [stride, offset] = [Math.floor(last / (steps + 1)), numberOf(config, "steps_offset")];
      return down.map((i) => i * stride + offset);
    }
    case "trailing":
      return trailingList(last, count / steps);
  }
}

const SPACINGS = ["linspace", "leading", "trailing"] as const;

/** How many timesteps at the noisy end lie below lambda_min_clipped. */
function clippedCount(config: SchedulerConfig, table: Float32Array): number {
  const least = config.lambda_min_clipped;
  if (typeof least !== "number") return 0;
  return table.filter((sigma) => -Math.log(sigma) < least).length;
}

/** How diffusers makes whole timesteps of those that follow from σ. */
function wholeOf(
  name: SamplerName,
  config: SchedulerConfig,
  spacing: ReturnType<typeof spacingOf>,
): (timestep: number) => number {
  if (spacing !== "karras" && spacing !== "lu") return Math.trunc;
  const multistep = name === "dpmpp_2m" || name === "dpmpp_2m_sde";
  return multistep && config.beta_schedule === "squaredcos_cap_v2" ? Math.trunc : roundHalfEven;
}

/** DEIS ends at the least σ, and where σ is spaced, at that of its last step; so does UniPC's sigma_min. */
function lastSigma(
  name: SamplerName,
  config: SchedulerConfig,
  table: Float32Array,
  spaced: readonly number[],
): number {
  const own = name === "deis" ? table[0]! : finalSigma(config, table);
  const repeats = own !== 0 && (name === "deis" || name === "unipc");
  return repeats && spacingOf(config) ? fround(spaced.at(-1)!) : own;
}
