import { choiceOf, SamplerError, type SchedulerConfig } from "./config.ts";
import { cleanOfSigma, predictionType } from "./prediction.ts";
import { alphasCumprod, roundHalfEven, timestepList } from "./schedule.ts";
import { type Solution, step } from "./step.ts";

const { fround } = Math;

/**
 * Karras et al. 2022, "Elucidating the Design Space", algorithm 2 without churn: Euler's method for
 * dx/dσ = (x − x0)/σ, one evaluation a step.
 * Throws SamplerError for the sigma spacings that are not supported.
 */
export function euler(config: SchedulerConfig, steps: number): Solution {
  refuseOtherSigmas(config);
  const type = predictionType(config);
  const timesteps = eulerTimesteps(config, steps);
  const sigmas = sigmaList(config, timesteps);
  const rows = timesteps.map((timestep, i) => {
    const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
    const clean = cleanOfSigma(type, sigma);
    const slope = { x: (1 - clean.x) / sigma, output: -clean.output / sigma };
    return step(timestep, 1 + slope.x * (next - sigma), slope.output * (next - sigma), {
      inputScale: 1 / Math.sqrt(sigma * sigma + 1),
    });
  });
  return { initNoiseSigma: initialSigma(config, Math.max(...sigmas)), rows };
}

function refuseOtherSigmas(config: SchedulerConfig): void {
  choiceOf(config, "timestep_type", ["discrete"]);
  choiceOf(config, "interpolation_type", ["linear"]);
  for (const key of ["use_karras_sigmas", "use_exponential_sigmas", "use_beta_sigmas"]) {
    if (config[key] !== true) continue;
    throw new SamplerError(`scheduler_config.json: ${key} true is not supported by euler yet`);
  }
}

/** Whole numbers, but for linspace, whose fractions go to the UNet as float32. */
function eulerTimesteps(config: SchedulerConfig, steps: number): number[] {
  const list = timestepList(config, steps);
  return list.map(config.timestep_spacing === "linspace" ? fround : roundHalfEven);
}

/** σ = √((1−ᾱ)/ᾱ) at each timestep, by linear interpolation, and the last one after them. */
function sigmaList(config: SchedulerConfig, timesteps: readonly number[]): number[] {
  const table = sigmaTable(config);
  const final = choiceOf(config, "final_sigmas_type", ["zero", "sigma_min"]);
  const sigmas = timesteps.map((timestep) => fround(interpolate(table, timestep)));
  return [...sigmas, final === "zero" ? 0 : table[0]!];
}

function sigmaTable(config: SchedulerConfig): Float32Array {
  const alphas = alphasCumprod(config);
  // Zero terminal SNR makes the last ᾱ 0 and its σ infinite: diffusers puts 2^-24 there.
  if (config.rescale_betas_zero_snr === true) alphas[alphas.length - 1] = 2 ** -24;
  return alphas.map((alpha) => Math.sqrt(fround(fround(1 - alpha) / alpha)));
}

/** numpy.interp: linear between entries, the end entries beyond them. */
function interpolate(table: Float32Array, at: number): number {
  const below = Math.floor(at);
  if (below >= table.length - 1) return table.at(-1)!;
  if (below < 0) return table[0]!;
  return (table[below + 1]! - table[below]!) * (at - below) + table[below]!;
}

/** Leading spacing starts below σmax: diffusers widens the first noise to √(σ²+1) there. */
function initialSigma(config: SchedulerConfig, sigma: number): number {
  if (config.timestep_spacing !== "leading") return sigma;
  return fround(Math.sqrt(fround(fround(sigma * sigma) + 1)));
}
