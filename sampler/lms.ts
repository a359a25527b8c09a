import type { SchedulerConfig } from "./config.ts";
import { kSchedule, seenAt } from "./k-schedule.ts";
import { lagrange } from "./lagrange.ts";
import { predictionType, slopeOfSigma } from "./prediction.ts";
import type { Run } from "./run.ts";
import { multistepRow, type Solution } from "./step.ts";

const ORDER = 4;

/**
 * Linear multistep (Adams-Bashforth on uneven σ) for dx/dσ: k-diffusion's sample_lms, up to fourth
 * order, one evaluation a step.
 * A run that skips steps has fewer slopes than diffusers weighs: it takes the weights as if they were
 * there, and leaves out the terms, and so do we.
 */
export function lms(config: SchedulerConfig, run: Run): Solution {
  const type = predictionType(config);
  const { timesteps, sigmas, initNoiseSigma, start } = kSchedule(config, run);
  const rows = timesteps.slice(run.skipped).map((timestep, n) => {
    const i = n + run.skipped;
    const sigma = sigmas[i]!;
    const knots = Array.from({ length: Math.min(i + 1, ORDER) }, (_, age) => sigmas[i - age]!);
    const weights = knots
      .map((_, age) => integral(knots, age, sigma, sigmas[i + 1]!))
      .slice(0, n + 1);
    const made = slopeOfSigma(type, sigma);
    return multistepRow(timestep, n, made, 1, weights, seenAt(type, sigma));
  });
  return { initNoiseSigma, start, rows };
}

/** The integral from `from` to `to` of the polynomial that is 1 at one knot and 0 at the others. */
function integral(knots: readonly number[], at: number, from: number, to: number): number {
  // In t − from, where the newest knot is 0: the differences stay small.
  const shifted = knots.map((knot) => knot - from);
  const length = to - from;
  const terms = lagrange(shifted, at).map((c, power) => (c * length ** (power + 1)) / (power + 1));
  return terms.reduce((sum, term) => sum + term, 0);
}
