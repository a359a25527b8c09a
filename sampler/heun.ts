import { refuseNonlinear, type SchedulerConfig } from "./config.ts";
import { drift } from "./euler.ts";
import { kSchedule, seenAt } from "./k-schedule.ts";
import { predictionType, slopeOfSigma } from "./prediction.ts";
import type { Run } from "./run.ts";
import { inSlots, type Solution, type Step, step } from "./step.ts";

/** Where the slope at the start of a step waits. */
const SLOPE = 0;

/**
 * Karras et al. 2022, "Elucidating the Design Space", algorithm 1 without churn: Heun's method, the
 * mean of the slopes at both ends of a step. Two evaluations a step, one for the last: 2·steps − 1.
 * Throws SamplerError where the configuration clips.
 */
export function heun(config: SchedulerConfig, run: Run): Solution {
  refuseNonlinear("heun", config);
  const type = predictionType(config);
  const { timesteps, sigmas, initNoiseSigma, start } = kSchedule(config, run);
  const stepFrom = (i: number): Step[] => {
    const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
    const { x, output } = drift(type, sigma, next);
    const first = step(timesteps[i]!, x, output, seenAt(type, sigma));
    if (i === timesteps.length - 1) return [first];
    const half = (next - sigma) / 2;
    const end = slopeOfSigma(type, next);
    return [
      { ...first, keep: true, store: { slot: SLOPE, ...slopeOfSigma(type, sigma), add: false } },
      step(timesteps[i + 1]!, half * end.x, half * end.output, {
        ...seenAt(type, next),
        kept: 1,
        history: inSlots([[SLOPE, half]]),
      }),
    ];
  };
  const rows = timesteps.flatMap((_, i) => (i < run.skipped ? [] : stepFrom(i)));
  return { initNoiseSigma, start, rows };
}
