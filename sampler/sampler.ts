import { resolveConfig, SamplerError, type SamplerName, type SchedulerConfig } from "./config.ts";
import { ddim } from "./ddim.ts";
import { euler } from "./euler.ts";
import { pndm } from "./pndm.ts";
import type { Solution, Step } from "./step.ts";

/** A run as a table: `rows` in order, one UNet evaluation each. */
export type Sampler = Solution & {
  readonly name: SamplerName;
  /** Whether any row reads `kept`, and how many history slots the rows use (0 to 4). */
  readonly keeps: boolean;
  readonly slots: number;
};

export type SamplerOptions = {
  /** ddim only: 0 (the default) deterministic, 1 as noisy as DDPM. */
  readonly eta?: number;
};

const SOLVERS: Readonly<
  Record<SamplerName, (config: SchedulerConfig, steps: number, eta?: number) => Solution>
> = { ddim, pndm, euler };

/**
 * The coefficients of a whole run. `config` is the folder's scheduler_config.json; `name` swaps the
 * solver as diffusers' `X.from_config(pipe.scheduler.config)` does, and undefined keeps the folder's.
 * Throws SamplerError for an unknown name or class, a setting that no solver here follows, and steps
 * outside 1 … num_train_timesteps.
 */
export function createSampler(
  name: string | undefined,
  config: SchedulerConfig,
  steps: number,
  { eta = 0 }: SamplerOptions = {},
): Sampler {
  const [solver, resolved] = resolveConfig(name, config);
  if (!(eta >= 0 && eta <= 1)) throw new SamplerError(`eta is ${eta}, wanted 0 to 1`);
  const solution = SOLVERS[solver](resolved, steps, eta);
  checkFinite(solver, solution.rows);
  return {
    ...solution,
    name: solver,
    keeps: solution.rows.some((row) => row.kept !== 0),
    slots: 1 + Math.max(-1, ...solution.rows.map((row) => row.store?.slot ?? -1)),
  };
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
