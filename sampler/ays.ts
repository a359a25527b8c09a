import { SamplerError, type SchedulerConfig } from "./config.ts";
import { roundHalfEven } from "./schedule.ts";
import { sigmaTable, timestepReader } from "./sigmas.ts";

/** Ten timesteps for Stable Diffusion 1 and 2: diffusers' AysSchedules["StableDiffusionTimesteps"]. */
const TIMESTEPS = [999, 850, 736, 645, 545, 455, 343, 233, 124, 24];

/**
 * Sabour et al. 2024, "Align Your Steps", arXiv 2404.14507: the ten timesteps that were optimised, or for
 * another number σ between theirs, linear in log σ, the least σ of all after the last.
 * Throws SamplerError for more steps than there are whole timesteps between the last two.
 */
export function alignYourSteps(config: SchedulerConfig, steps: number): number[] {
  const table = sigmaTable(config);
  if (table.length !== 1000) {
    throw new SamplerError(`timesteps "ays" are for 1000 training timesteps, not ${table.length}`);
  }
  const logs = [...TIMESTEPS.map((timestep) => table[timestep]!), table[0]!].map(Math.log);
  const timestepOf = timestepReader(table);
  const timesteps = Array.from({ length: steps }, (_, i) => {
    const at = (i * TIMESTEPS.length) / steps;
    const below = Math.floor(at);
    const log = logs[below]! + (at - below) * (logs[below + 1]! - logs[below]!);
    return roundHalfEven(timestepOf(Math.exp(log)));
  });
  if (timesteps.every((timestep, i) => i === 0 || timestep < timesteps[i - 1]!)) return timesteps;
  throw new SamplerError(`timesteps "ays" of ${steps} steps repeat: take fewer steps`);
}
