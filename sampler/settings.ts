/** What a caller sets over a scheduler's file: options, and keys by diffusers' own names. */
import { DEFAULTS } from "./classes.ts";
import {
  SamplerError,
  type SamplerName,
  type SchedulerConfig,
  SIGMA_SPACINGS,
  type SigmaSpacing,
  spacedSigmas,
} from "./config.ts";
import type { SamplerOptions } from "./sampler.ts";

/** How a checkpoint was trained: another value would not describe it. */
const TRAINING = [
  ...["num_train_timesteps", "beta_start", "beta_end", "beta_schedule", "trained_betas"],
  "prediction_type",
];

/** Keys that a class holds and never reads, in diffusers as here. */
const UNREAD: Readonly<Partial<Record<SamplerName, readonly string[]>>> = {
  dpmpp_2s: ["timestep_spacing"],
  lcm: ["timestep_spacing"],
  tcd: ["timestep_spacing", "timestep_scaling"],
};

/** Names that a solver would take for another one. */
const CHOICES: SchedulerConfig = { solver_type: ["midpoint", "heun", "logrho", "bh1", "bh2"] };

/** The keys that may be set over the file of each class. */
export function settableKeys(name: SamplerName): string[] {
  const hidden = [...TRAINING, ...(UNREAD[name] ?? [])];
  return Object.keys(DEFAULTS[name]).filter((key) => !hidden.includes(key));
}

/**
 * A solver's configuration with the options that change it. Throws SamplerError for a key that its class does
 * not know or read, or that says how the model was trained; a value of another type; two spacings of σ.
 */
export function withOptions(
  name: SamplerName,
  config: SchedulerConfig,
  { sigmas, rescaleBetasZeroSnr, config: given = {} }: SamplerOptions,
): SchedulerConfig {
  for (const [key, value] of Object.entries(given)) checkSetting(name, key, value);
  const spacing = sigmas && checkSpacing(sigmas);
  if (rescaleBetasZeroSnr === true) checkZeroSnr(name);
  const all = {
    ...config,
    ...(spacing && spacedSigmas(name, spacing)),
    ...(rescaleBetasZeroSnr !== undefined && { rescale_betas_zero_snr: rescaleBetasZeroSnr }),
    ...given,
  };
  checkOneSpacing(name, all);
  return all;
}

function checkSetting(name: SamplerName, key: string, value: unknown): void {
  const keys = settableKeys(name);
  if (!keys.includes(key)) {
    const why = TRAINING.includes(key) ? `${key} is how the model was trained` : `no ${key}`;
    throw new SamplerError(`${name} takes ${why}; what can be set: ${keys.join(", ")}`);
  }
  const usual = DEFAULTS[name][key];
  const kind = Array.isArray(usual) ? "list" : usual === null ? "number" : typeof usual;
  const found = Array.isArray(value) ? "list" : typeof value;
  const choices = CHOICES[key];
  if (found !== kind || (Array.isArray(choices) && !choices.includes(value))) {
    const wanted = Array.isArray(choices) ? `one of ${choices.join(", ")}` : `a ${kind}`;
    throw new SamplerError(`${name}: ${key} is ${JSON.stringify(value)}, wanted ${wanted}`);
  }
}

function checkSpacing(sigmas: string): SigmaSpacing {
  const found = SIGMA_SPACINGS.find((each) => each === sigmas);
  if (found === undefined) {
    throw new SamplerError(`sigmas "${sigmas}" is unknown; there are ${SIGMA_SPACINGS.join(", ")}`);
  }
  return found;
}

function checkZeroSnr(name: SamplerName): void {
  if ("rescale_betas_zero_snr" in DEFAULTS[name]) return;
  const known = Object.entries(DEFAULTS).filter(([, keys]) => "rescale_betas_zero_snr" in keys);
  const names = known.map(([each]) => each).join(", ");
  throw new SamplerError(`${name} has no zero terminal SNR; these have: ${names}`);
}

function checkOneSpacing(name: SamplerName, config: SchedulerConfig): void {
  const keys = [...SIGMA_SPACINGS.map((each) => `use_${each}_sigmas`), "use_lu_lambdas"];
  const set = keys.filter((key) => config[key] === true);
  if (set.length > 1) {
    throw new SamplerError(`${name}: ${set.join(" and ")} exclude one another`);
  }
}
