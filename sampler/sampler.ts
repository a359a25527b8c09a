import { alignYourSteps } from "./ays.ts";
import {
  resolveConfig,
  SamplerError,
  type SamplerName,
  type SchedulerConfig,
  type SigmaSpacing,
} from "./config.ts";
import { lcm, tcd } from "./consistency.ts";
import { ddim } from "./ddim.ts";
import { ddpm } from "./ddpm.ts";
import { deis } from "./deis.ts";
import { dpmMultistep, dpmSinglestep } from "./dpm-solver.ts";
import { euler, eulerAncestral } from "./euler.ts";
import { heun } from "./heun.ts";
import { lms } from "./lms.ts";
import { dpm2, dpm2Ancestral, dpmpp2sAncestral, dpmppSde } from "./midpoint.ts";
import { pndm } from "./pndm.ts";
import { checkTimesteps, type Run, skippedSteps } from "./run.ts";
import { checkSteps } from "./schedule.ts";
import { withOptions } from "./settings.ts";
import { spacingOf } from "./sigmas.ts";
import type { Solution, Step } from "./step.ts";
import { unipc } from "./unipc.ts";

/** A run as a table: `rows` in order, one UNet evaluation each. */
export type Sampler = Solution & {
  readonly name: SamplerName;
  /** Whether any row reads `kept`, and how many history slots the rows use (0 to 4). */
  readonly keeps: boolean;
  readonly slots: number;
  /** How many noises the rows draw after the first one. */
  readonly draws: number;
  /** The step that each row is a part of, from 0 for the first that runs. */
  readonly steps: readonly number[];
  /** UNet evaluations that a whole step takes. */
  readonly order: 1 | 2;
};

export type SamplerOptions = {
  /** ddim and tcd: 0 (the default) deterministic, 1 as noisy as DDPM or as consistency sampling. */
  readonly eta?: number;
  /** 0 to 1 (the default): runs the last ⌊steps·strength⌋ of the steps, from a picture (`start`). */
  readonly strength?: number;
  /** How σ is spaced; the same as the end of a name, "dpmpp_2m_karras". */
  readonly sigmas?: SigmaSpacing;
  /** In place of `steps` and a spacing: whole timesteps that descend, or "ays" (of `steps`). */
  readonly timesteps?: readonly number[] | "ays";
  /** Ends the noisy end of the schedule in pure noise (Lin et al. 2023, section 3.1). */
  readonly rescaleBetasZeroSnr?: boolean;
  /** Keys over those of the file, as diffusers' `X.from_config(config, **settings)` takes them. */
  readonly config?: SchedulerConfig;
};

const SOLVERS: Readonly<Record<SamplerName, (config: SchedulerConfig, run: Run) => Solution>> = {
  ddim,
  ddpm,
  pndm,
  lms,
  euler,
  euler_a: eulerAncestral,
  heun,
  dpm2,
  dpm2_a: dpm2Ancestral,
  dpmpp_2m: dpmMultistep,
  dpmpp_2m_sde: dpmMultistep,
  dpmpp_2s: dpmSinglestep,
  dpmpp_2s_a: dpmpp2sAncestral,
  dpmpp_sde: dpmppSde,
  deis,
  unipc,
  lcm,
  tcd,
};

/**
 * The coefficients of a whole run. `config` is the folder's scheduler_config.json; `name` swaps the
 * solver as diffusers' `X.from_config(pipe.scheduler.config)` does, and undefined keeps the folder's.
 * Throws SamplerError for an unknown name or class, a setting that no solver here follows, options that
 * do not go together, and steps outside 1 … num_train_timesteps.
 */
export function createSampler(
  name: string | undefined,
  config: SchedulerConfig,
  steps: number,
  options: SamplerOptions = {},
): Sampler {
  const [solver, resolved] = resolveConfig(name, config);
  const settings = withOptions(solver, resolved, options);
  const solution = SOLVERS[solver](settings, runOf(settings, steps, options));
  checkFinite(solver, solution.rows);
  return {
    ...solution,
    name: solver,
    keeps: solution.rows.some((row) => row.kept !== 0),
    slots: 1 + Math.max(-1, ...solution.rows.map((row) => row.store?.slot ?? -1)),
    draws: solution.rows.filter((row) => row.draws).length,
    steps: solution.rows.map((_, i) => stepOf(solver, i, settings)),
    order: TWICE.includes(solver) ? 2 : 1,
  };
}

/** Solvers whose steps take two evaluations each (the last one takes one). */
const TWICE: readonly SamplerName[] = ["heun", "dpm2", "dpm2_a", "dpmpp_2s_a", "dpmpp_sde"];

/** pndm evaluates once more in its first step, or four times in each of its first three. */
function stepOf(solver: SamplerName, row: number, config: SchedulerConfig): number {
  if (TWICE.includes(solver)) return Math.floor(row / 2);
  if (solver !== "pndm") return row;
  return config.skip_prk_steps === true ? Math.max(0, row - 1) : row < 12 ? row >> 2 : row - 9;
}

function runOf(config: SchedulerConfig, steps: number, options: SamplerOptions): Run {
  const { eta = 0, strength = 1 } = options;
  if (!(eta >= 0 && eta <= 1)) throw new SamplerError(`eta is ${eta}, wanted 0 to 1`);
  const timesteps = listOf(config, steps, options.timesteps);
  if (timesteps === undefined) checkSteps(config, steps);
  const count = timesteps?.length ?? steps;
  const skipped = skippedSteps(count, strength);
  return { steps: count, skipped, eta, ...(timesteps && { timesteps }) };
}

function listOf(
  config: SchedulerConfig,
  steps: number,
  timesteps: SamplerOptions["timesteps"],
): readonly number[] | undefined {
  if (timesteps === undefined) return undefined;
  const spacing = spacingOf(config);
  if (spacing)
    throw new SamplerError(`timesteps of your own and ${spacing} sigmas exclude one another`);
  if (timesteps === "ays") {
    checkSteps(config, steps);
    return alignYourSteps(config, steps);
  }
  checkTimesteps(config, timesteps);
  return timesteps;
}

/** Zero terminal SNR leaves an ε-model nothing to divide by: diffusers would paint NaN. */
function checkFinite(solver: SamplerName, rows: readonly Step[]): void {
  const bad = rows.find((row) =>
    [row.inputScale, row.x, row.kept, row.output, row.noise, ...row.history].some(
      (coefficient) => !Number.isFinite(coefficient),
    ),
  );
  if (bad === undefined) return;
  throw new SamplerError(
    `${solver}: the step at timestep ${bad.timestep} divides by zero: ` +
      "this schedule ends in pure noise and does not suit the prediction type and spacing",
  );
}
