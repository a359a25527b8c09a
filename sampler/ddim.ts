import { refuseNonlinear, type SchedulerConfig } from "./config.ts";
import { cleanOf, epsilonOf, predictionType } from "./prediction.ts";
import { type Run, startOfAlpha, timestepsOf } from "./run.ts";
import { alphaReader, roundHalfEven, strideOf, trainTimesteps } from "./schedule.ts";
import { type Solution, step } from "./step.ts";

/**
 * Song, Meng & Ermon 2021, "Denoising Diffusion Implicit Models", eq. 12: first order, one
 * evaluation a step. eta 0 is deterministic, 1 as noisy as DDPM (eq. 16).
 * A step goes as far down as the mean stride, and to the next timestep where they are a list of the
 * caller's own. Throws SamplerError where the configuration clips or thresholds.
 */
export function ddim(config: SchedulerConfig, run: Run): Solution {
  refuseNonlinear("ddim", config);
  const type = predictionType(config);
  const alphaAt = alphaReader(config);
  const timesteps = timestepsOf(config, run).map(roundHalfEven);
  const stride = strideOf(trainTimesteps(config), run.steps);
  const after = (i: number) => (run.timesteps ? (timesteps[i + 1] ?? -1) : timesteps[i]! - stride);
  const rows = timesteps
    .map((timestep, i) => {
      const [alpha, next] = [alphaAt(timestep), alphaAt(after(i))];
      const noise = run.eta * Math.sqrt(((1 - next) / (1 - alpha)) * (1 - alpha / next));
      const [clean, epsilon] = [cleanOf(type, alpha), epsilonOf(type, alpha)];
      const [toClean, toEpsilon] = [Math.sqrt(next), Math.sqrt(1 - next - noise * noise)];
      const output = toClean * clean.output + toEpsilon * epsilon.output;
      return step(timestep, toClean * clean.x + toEpsilon * epsilon.x, output, {
        ...{ noise, draws: run.eta > 0, clean: { ...clean, change: toClean / output } },
      });
    })
    .slice(run.skipped);
  return { initNoiseSigma: 1, start: startOfAlpha(config, timesteps[run.skipped]!), rows };
}
