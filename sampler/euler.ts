import { choiceOf, type SchedulerConfig } from "./config.ts";
import { ancestral, kSchedule, seenAt } from "./k-schedule.ts";
import { type Linear, type PredictionType, predictionType, slopeOfSigma } from "./prediction.ts";
import type { Run } from "./run.ts";
import { type Solution, step } from "./step.ts";

/**
 * Karras et al. 2022, "Elucidating the Design Space", algorithm 2 without churn: Euler's method for
 * dx/dσ = (x − x0)/σ, one evaluation a step.
 */
export function euler(config: SchedulerConfig, run: Run): Solution {
  choiceOf(config, "timestep_type", ["discrete"]);
  choiceOf(config, "interpolation_type", ["linear"]);
  const type = predictionType(config);
  const { timesteps, sigmas, initNoiseSigma, start } = kSchedule(config, run);
  const rows = timesteps
    .map((timestep, i) => {
      const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
      const { x, output } = drift(type, sigma, next);
      return step(timestep, x, output, seenAt(type, sigma));
    })
    .slice(run.skipped);
  return { initNoiseSigma, start, rows };
}

/**
 * Euler's method to a σ below the next one, and noise up to it (k-diffusion, sample_euler_ancestral;
 * Song et al. 2021, arXiv 2011.13456, is the equation). One evaluation a step.
 * A noise is drawn for the last step too, and multiplied by 0. Throws SamplerError for prediction_type
 * sample, which diffusers refuses too.
 */
export function eulerAncestral(config: SchedulerConfig, run: Run): Solution {
  const type = predictionType(config, ["epsilon", "v_prediction"]);
  const { timesteps, sigmas, initNoiseSigma, start } = kSchedule(config, run);
  const rows = timesteps
    .map((timestep, i) => {
      const { up, down } = ancestral(sigmas[i]!, sigmas[i + 1]!);
      const { x, output } = drift(type, sigmas[i]!, down);
      const more = { ...seenAt(type, sigmas[i]!), noise: up, draws: true };
      return step(timestep, x, output, more);
    })
    .slice(run.skipped);
  return { initNoiseSigma, start, rows };
}

/** x at `to` from x and m at σ, along the slope at σ. */
export function drift(type: PredictionType, sigma: number, to: number): Linear {
  const slope = slopeOfSigma(type, sigma);
  return { x: 1 + slope.x * (to - sigma), output: slope.output * (to - sigma) };
}
