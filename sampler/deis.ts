import { choiceOf, type SchedulerConfig } from "./config.ts";
import { solverOrder } from "./dpm-solver.ts";
import { lagrange } from "./lagrange.ts";
import { lambdaSchedule, type Point } from "./lambda-schedule.ts";
import { cleanAt, epsilonAt } from "./prediction.ts";
import type { Run } from "./run.ts";
import { multistepRow, type Solution } from "./step.ts";

/**
 * Zhang & Chen 2022, "Fast Sampling of Diffusion Models with Exponential Integrator", arXiv 2204.13902,
 * ρAB-DEIS on a log scale: ε as a polynomial in log ρ of up to third order, ρ = σ. One evaluation a step.
 */
export function deis(config: SchedulerConfig, run: Run): Solution {
  choiceOf(config, "algorithm_type", ["deis", "dpmsolver", "dpmsolver++"]);
  const { type, timesteps, points, start } = lambdaSchedule("deis", config, run);
  const highest = solverOrder(config);
  const rows = timesteps.slice(run.skipped).map((timestep, n) => {
    const i = n + run.skipped;
    const [from, to] = [points[i]!, points[i + 1]!];
    const order = Math.min(highest, n + 1, orderAt(config, i, timesteps.length));
    const knots = Array.from({ length: order }, (_, age) => points[i - age]!);
    const weights = knots.map((_, age) => to.signal * integral(knots, age, from.sigma, to.sigma));
    const clean = cleanAt(type, from);
    const made = epsilonAt(type, from);
    return multistepRow(timestep, n, made, to.signal / from.signal, weights, { clean });
  });
  return { initNoiseSigma: 1, start, rows };
}

/** The last steps of a short run are of lower order. */
function orderAt(config: SchedulerConfig, i: number, count: number): number {
  if (config.lower_order_final !== true || count >= 15) return 3;
  return Math.min(count - i, 3);
}

/**
 * ∫ dρ of the polynomial in log ρ that is 1 at one knot and 0 at the others, in u = ρ/from: with
 * ∫ log u du = u·(log u − 1) and ∫ log² u du = u·(log² u − 2·log u + 2).
 */
function integral(knots: readonly Point[], at: number, from: number, to: number): number {
  const logs = knots.map(({ sigma }) => Math.log(sigma / from));
  const [u, log] = [to / from, Math.log(to / from)];
  const powers = [u - 1, u * (log - 1) + 1, u * (log * log - 2 * log + 2) - 2];
  const terms = lagrange(logs, at).map((c, power) => c * powers[power]!);
  return from * terms.reduce((sum, term) => sum + term, 0);
}
