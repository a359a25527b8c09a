import { choiceOf, type SchedulerConfig } from "./config.ts";

export type PredictionType = "epsilon" | "v_prediction" | "sample";

/** a·x + b·m: a linear function of the sample x and the model output m. */
export type Linear = { readonly x: number; readonly output: number };

export const PREDICTION_TYPES = ["epsilon", "v_prediction", "sample"] as const;

/** What the model predicts. Throws SamplerError where the solver does not take it. */
export function predictionType(
  config: SchedulerConfig,
  supported: readonly PredictionType[] = PREDICTION_TYPES,
): PredictionType {
  return choiceOf(config, "prediction_type", supported);
}

/** What weighs x0 and ε in x: √ᾱ and √(1−ᾱ). */
export type Mixture = { readonly signal: number; readonly noise: number };

/** The noise ε in x = √ᾱ·x0 + √(1−ᾱ)·ε, from x and m (v: Salimans & Ho 2022, appendix D). */
export function epsilonOf(type: PredictionType, alpha: number): Linear {
  return epsilonAt(type, { signal: Math.sqrt(alpha), noise: Math.sqrt(1 - alpha) });
}

/** The clean sample x0 in the same equation. */
export function cleanOf(type: PredictionType, alpha: number): Linear {
  return cleanAt(type, { signal: Math.sqrt(alpha), noise: Math.sqrt(1 - alpha) });
}

export function epsilonAt(type: PredictionType, { signal, noise }: Mixture): Linear {
  switch (type) {
    case "epsilon":
      return { x: 0, output: 1 };
    case "v_prediction":
      return { x: noise, output: signal };
    case "sample":
      return { x: 1 / noise, output: -signal / noise };
  }
}

export function cleanAt(type: PredictionType, { signal, noise }: Mixture): Linear {
  switch (type) {
    case "epsilon":
      return { x: 1 / signal, output: -noise / signal };
    case "v_prediction":
      return { x: signal, output: -noise };
    case "sample":
      return { x: 0, output: 1 };
  }
}

/** x0 in x = x0 + σ·ε, the model having seen x/√(σ²+1) (k-diffusion's CompVis wrappers). */
export function cleanOfSigma(type: PredictionType, sigma: number): Linear {
  switch (type) {
    case "epsilon":
      return { x: 1, output: -sigma };
    case "v_prediction":
      return { x: 1 / (sigma * sigma + 1), output: -sigma / Math.sqrt(sigma * sigma + 1) };
    case "sample":
      return { x: 0, output: 1 };
  }
}

/** (x − x0)/σ, the slope dx/dσ of the same equation. */
export function slopeOfSigma(type: PredictionType, sigma: number): Linear {
  const clean = cleanOfSigma(type, sigma);
  return { x: (1 - clean.x) / sigma, output: -clean.output / sigma };
}
