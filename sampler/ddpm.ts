import { choiceOf, refuseNonlinear, type SchedulerConfig } from "./config.ts";
import { cleanOf, predictionType } from "./prediction.ts";
import { alphaAfter, type Run, startOfAlpha, timestepsOf } from "./run.ts";
import { alphaReader, roundHalfEven } from "./schedule.ts";
import { type Solution, step } from "./step.ts";

const VARIANCES = ["fixed_small", "fixed_small_log", "fixed_large"] as const;

/** diffusers' floor of the variance: it leaves a noise of 1e-10 in the last step. */
const LEAST_VARIANCE = 1e-20;

/**
 * Ho, Jain & Abbeel 2020, "Denoising Diffusion Probabilistic Models", eq. 6 and 7: the mean and the
 * variance of the sample at the next timestep, one evaluation a step. No noise is drawn at timestep 0.
 * Throws SamplerError where the configuration clips or thresholds, and for learned variances.
 */
export function ddpm(config: SchedulerConfig, run: Run): Solution {
  refuseNonlinear("ddpm", config);
  const type = predictionType(config);
  const large = choiceOf(config, "variance_type", VARIANCES) === "fixed_large";
  const timesteps = timestepsOf(config, run).map(roundHalfEven);
  const [alphaAt, after] = [alphaReader(config), alphaAfter(config, timesteps)];
  const rows = timesteps
    .map((timestep, i) => {
      const [alpha, next] = [alphaAt(timestep), after(i)];
      const beta = 1 - alpha / next;
      const clean = cleanOf(type, alpha);
      const toClean = (Math.sqrt(next) * beta) / (1 - alpha);
      const toSample = (Math.sqrt(alpha / next) * (1 - next)) / (1 - alpha);
      const small = Math.max(((1 - next) / (1 - alpha)) * beta, LEAST_VARIANCE);
      const draws = timestep > 0;
      const noise = draws ? Math.sqrt(large ? beta : small) : 0;
      return step(timestep, toClean * clean.x + toSample, toClean * clean.output, {
        ...{ noise, draws, clean },
      });
    })
    .slice(run.skipped);
  return { initNoiseSigma: 1, start: startOfAlpha(config, timesteps[run.skipped]!), rows };
}
