import { SamplerError, type SchedulerConfig } from "./config.ts";
import { cleanOf, epsilonOf, predictionType } from "./prediction.ts";
import { alphaReader, roundHalfEven, strideOf, timestepList, trainTimesteps } from "./schedule.ts";
import { type Solution, step } from "./step.ts";

/**
 * Song, Meng & Ermon 2021, "Denoising Diffusion Implicit Models", eq. 12: first order, one
 * evaluation a step. eta 0 is deterministic, 1 as noisy as DDPM (eq. 16).
 * Throws SamplerError where the configuration clips or thresholds: that is not linear in x.
 */
export function ddim(config: SchedulerConfig, steps: number, eta = 0): Solution {
  refuseClipping(config);
  const type = predictionType(config);
  const alphaAt = alphaReader(config);
  const stride = strideOf(trainTimesteps(config), steps);
  const rows = timestepList(config, steps)
    .map(roundHalfEven)
    .map((timestep) => {
      const [alpha, next] = [alphaAt(timestep), alphaAt(timestep - stride)];
      const noise = eta * Math.sqrt(((1 - next) / (1 - alpha)) * (1 - alpha / next));
      const [clean, epsilon] = [cleanOf(type, alpha), epsilonOf(type, alpha)];
      const [toClean, toEpsilon] = [Math.sqrt(next), Math.sqrt(1 - next - noise * noise)];
      return step(
        timestep,
        toClean * clean.x + toEpsilon * epsilon.x,
        toClean * clean.output + toEpsilon * epsilon.output,
        { noise },
      );
    });
  return { initNoiseSigma: 1, rows };
}

function refuseClipping(config: SchedulerConfig): void {
  for (const key of ["thresholding", "clip_sample"]) {
    if (config[key] !== true) continue;
    throw new SamplerError(
      `ddim would run with ${key} true (DDIMScheduler's default where scheduler_config.json lacks ` +
        `the key), which is not supported: write "${key}": false into the file, as latent models want it`,
    );
  }
}
