import { betaQuantile } from "./beta-quantile.ts";
import { numberOf, type SchedulerConfig, SIGMA_SPACINGS, type SigmaSpacing } from "./config.ts";
import { alphasCumprod } from "./schedule.ts";

const { fround } = Math;

/** σ = √((1−ᾱ)/ᾱ) of every timestep, in float32. */
export function sigmaTable(config: SchedulerConfig): Float32Array {
  const alphas = alphasCumprod(config);
  // Zero terminal SNR makes the last ᾱ 0 and its σ infinite: diffusers puts 2^-24 there.
  if (config.rescale_betas_zero_snr === true) alphas[alphas.length - 1] = 2 ** -24;
  return alphas.map((alpha) => Math.sqrt(fround(fround(1 - alpha) / alpha)));
}

/** numpy.interp: linear between entries, the end entries beyond them. */
export function interpolate(table: Float32Array, at: number): number {
  const below = Math.floor(at);
  if (below >= table.length - 1) return table.at(-1)!;
  if (below < 0) return table[0]!;
  return (table[below + 1]! - table[below]!) * (at - below) + table[below]!;
}

/** The timestep of a σ between those of the table, linear in log σ, as k-diffusion's sigma_to_t. */
export function timestepReader(table: Float32Array): (sigma: number) => number {
  const logs = table.map(Math.log);
  return (sigma) => {
    const log = Math.log(Math.max(sigma, 1e-10));
    let low = logs.findLastIndex((entry) => entry <= log);
    low = Math.min(Math.max(low, 0), logs.length - 2);
    const weight = (logs[low]! - log) / fround(logs[low]! - logs[low + 1]!);
    const clipped = Math.min(Math.max(weight, 0), 1);
    return (1 - clipped) * low + clipped * (low + 1);
  };
}

/** How the configuration spaces σ, if not by its timesteps. Lu's λ are what "exponential" is too. */
export function spacingOf(config: SchedulerConfig): SigmaSpacing | "lu" | undefined {
  if (config.use_lu_lambdas === true) return "lu";
  return SIGMA_SPACINGS.find((each) => config[`use_${each}_sigmas`] === true);
}

/**
 * `count` σ from `max` down to `min`, the configuration's own bounds before these:
 * Karras et al. 2022, eq. 5; even in log σ; or at the quantiles of B(0.6, 0.6)
 * (Lee et al. 2024, "Beta Sampling is All You Need", arXiv 2407.12173).
 */
export function spacedSigmas(
  config: SchedulerConfig,
  spacing: SigmaSpacing | "lu",
  count: number,
  bounds: { readonly max: number; readonly min: number },
): number[] {
  const max = boundOf(config, "sigma_max", bounds.max);
  const min = boundOf(config, "sigma_min", bounds.min);
  const at = (position: number) => {
    switch (spacing) {
      case "karras":
        return between(max ** (1 / RHO), min ** (1 / RHO), position) ** RHO;
      case "beta":
        return min + betaQuantile(1 - position, 0.6) * (max - min);
      default:
        return Math.exp(between(Math.log(max), Math.log(min), position));
    }
  };
  return Array.from({ length: count }, (_, i) => at(i === 0 ? 0 : i / (count - 1)));
}

/** Karras's exponent. */
const RHO = 7;

function between(from: number, to: number, position: number): number {
  return position === 1 ? to : from + position * (to - from);
}

function boundOf(config: SchedulerConfig, key: string, otherwise: number): number {
  return config[key] === null || config[key] === undefined ? otherwise : numberOf(config, key);
}
