import { numberOf, refuseNonlinear, SamplerError, type SchedulerConfig } from "./config.ts";
import { cleanOf, epsilonOf, predictionType } from "./prediction.ts";
import { type Run, startOfAlpha } from "./run.ts";
import { alphasCumprod, trainTimesteps } from "./schedule.ts";
import { type Solution, step } from "./step.ts";

const { fround } = Math;

/** The standard deviation of the data that the boundary condition is written for. */
const SIGMA_DATA = 0.5;

/**
 * Luo et al. 2023, "Latent Consistency Models", multistep sampling: x0 by the consistency function
 * c_skip·x + c_out·x0, then noise up to the next timestep; one evaluation a step.
 * Nothing is drawn for the last step, which is x0.
 * Throws SamplerError above original_inference_steps, and where the configuration clips or thresholds.
 */
export function lcm(config: SchedulerConfig, run: Run): Solution {
  refuseNonlinear("lcm", config);
  const type = predictionType(config);
  const scaling = numberOf(config, "timestep_scaling");
  const alphas = alphasCumprod(config);
  const timesteps = distilledTimesteps("lcm", config, run);
  const rows = timesteps
    .map((timestep, i) => {
      const clean = cleanOf(type, alphas[timestep]!);
      const scaled = timestep * scaling;
      const spread = scaled ** 2 + SIGMA_DATA ** 2;
      const [skip, out] = [SIGMA_DATA ** 2 / spread, scaled / Math.sqrt(spread)];
      const last = i === timesteps.length - 1;
      const next = last ? 1 : alphas[timesteps[i + 1]!]!;
      const signal = Math.sqrt(next);
      return step(timestep, signal * (out * clean.x + skip), signal * out * clean.output, {
        noise: last ? 0 : Math.sqrt(1 - next),
        draws: !last,
        clean,
      });
    })
    .slice(run.skipped);
  return { initNoiseSigma: 1, start: startOfAlpha(config, timesteps[run.skipped]!), rows };
}

/**
 * Zheng et al. 2024, "Trajectory Consistency Distillation", strategic stochastic sampling: along the trajectory to a
 * timestep s below the next one, (1 − eta)·next, then noise up to the next. One evaluation a step.
 * eta 0 draws nothing; the last step never does.
 * Throws SamplerError above original_inference_steps, and where the configuration clips or thresholds.
 */
export function tcd(config: SchedulerConfig, run: Run): Solution {
  refuseNonlinear("tcd", config);
  const type = predictionType(config);
  const alphas = alphasCumprod(config);
  const timesteps = distilledTimesteps("tcd", config, run);
  const rows = timesteps
    .map((timestep, i) => {
      const after = timesteps[i + 1] ?? 0;
      // PyTorch multiplies in float32, which decides some whole products.
      const middle = alphas[Math.floor(fround(fround(1 - run.eta) * after))]!;
      const alpha = alphas[timestep]!;
      const [clean, epsilon] = [cleanOf(type, alpha), epsilonOf(type, alpha)];
      const [toClean, toEpsilon] = [Math.sqrt(middle), Math.sqrt(1 - middle)];
      const draws = run.eta > 0 && i < timesteps.length - 1;
      const rest = draws ? alphas[after]! / middle : 1;
      const scale = Math.sqrt(rest);
      return step(
        timestep,
        scale * (toClean * clean.x + toEpsilon * epsilon.x),
        scale * (toClean * clean.output + toEpsilon * epsilon.output),
        { noise: draws ? Math.sqrt(1 - rest) : 0, draws, clean },
      );
    })
    .slice(run.skipped);
  return { initNoiseSigma: 1, start: startOfAlpha(config, timesteps[run.skipped]!), rows };
}

/** A part of the timesteps that the model was distilled at, evenly spread. */
function distilledTimesteps(
  name: "lcm" | "tcd",
  config: SchedulerConfig,
  run: Run,
): readonly number[] {
  if (run.timesteps) return run.timesteps;
  const original = numberOf(config, "original_inference_steps");
  const stride = Math.floor(trainTimesteps(config) / original);
  if (run.steps > original) {
    throw new SamplerError(
      `${name} takes ${original} steps at the most (original_inference_steps), not ${run.steps}`,
    );
  }
  return Array.from({ length: run.steps }, (_, i) => {
    const index = Math.floor(i * (original / run.steps));
    return (original - index) * stride - 1;
  });
}
