import { choiceOf, numberOf, SamplerError, type SchedulerConfig } from "./config.ts";

const { fround } = Math;

/**
 * ᾱ_t, t = 0 … num_train_timesteps − 1. The float32 roundings are PyTorch's: at the noisy end
 * a table in float64 differs from it by 1e-6, and the reference pictures were made with this one.
 * Throws SamplerError for a beta schedule that diffusers does not know.
 */
export function alphasCumprod(config: SchedulerConfig): Float32Array {
  const betas = betaTable(config);
  return cumulate(config.rescale_betas_zero_snr === true ? zeroTerminalSnr(betas) : betas);
}

const BETA_SCHEDULES = ["linear", "scaled_linear", "squaredcos_cap_v2"] as const;

function betaTable(config: SchedulerConfig): Float32Array {
  if (Array.isArray(config.trained_betas)) return Float32Array.from(config.trained_betas);
  const count = trainTimesteps(config);
  const [start, end] = [numberOf(config, "beta_start"), numberOf(config, "beta_end")];
  switch (choiceOf(config, "beta_schedule", BETA_SCHEDULES)) {
    case "linear":
      return linspace(start, end, count);
    case "scaled_linear":
      return linspace(Math.sqrt(start), Math.sqrt(end), count).map((root) => root * root);
    case "squaredcos_cap_v2":
      return Float32Array.from({ length: count }, (_, t) => cosineBeta(t / count, (t + 1) / count));
  }
}

export function trainTimesteps(config: SchedulerConfig): number {
  const count = numberOf(config, "num_train_timesteps");
  if (Number.isInteger(count) && count >= 1 && count <= 1e6) return count;
  throw new SamplerError(
    `scheduler_config.json: num_train_timesteps is ${count}, wanted an integer of 1 to 1000000`,
  );
}

/** torch.linspace in float32: each half counts from its own end. */
function linspace(start: number, end: number, count: number): Float32Array {
  const [first, last] = [fround(start), fround(end)];
  const step = fround(fround(last - first) / (count - 1));
  return Float32Array.from({ length: count }, (_, i) => {
    if (count === 1) return first;
    return i < Math.floor(count / 2) ? first + step * i : last - step * (count - 1 - i);
  });
}

/** Nichol & Dhariwal 2021, eq. 17: β so that ᾱ follows a squared cosine. */
function cosineBeta(from: number, to: number): number {
  const alphaBar = (time: number) => Math.cos((((time + 0.008) / 1.008) * Math.PI) / 2) ** 2;
  return Math.min(1 - alphaBar(to) / alphaBar(from), 0.999);
}

/** ∏(1 − β). torch.cumprod keeps its running product in float64 and rounds what it writes. */
function cumulate(betas: Float32Array): Float32Array {
  let product = 1;
  return betas.map((beta) => {
    product *= fround(1 - beta);
    return product;
  });
}

/** Lin et al. 2023, algorithm 1: √ᾱ shifted and scaled so that the last is 0 and the first stays. */
function zeroTerminalSnr(betas: Float32Array): Float32Array {
  const roots = cumulate(betas).map(Math.sqrt);
  const [first, last] = [roots[0]!, roots.at(-1)!];
  const scale = fround(first / fround(first - last));
  const bars = roots.map((root) => fround(root - last) * scale).map((root) => root * root);
  return bars.map((bar, t) => 1 - fround(t === 0 ? bar : bar / bars[t - 1]!));
}

const SPACINGS = ["leading", "linspace", "trailing"] as const;

/** Throws SamplerError unless 1 <= steps <= num_train_timesteps, an integer. */
export function checkSteps(config: SchedulerConfig, steps: number): void {
  const count = trainTimesteps(config);
  if (Number.isInteger(steps) && steps >= 1 && steps <= count) return;
  throw new SamplerError(`steps is ${steps}, wanted an integer of 1 to ${count}`);
}

/**
 * The timesteps of a run, noisiest first (Lin et al. 2023, table 2). Linspace leaves fractions,
 * which the solvers on σ hand to the UNet and the others round.
 */
export function timestepList(config: SchedulerConfig, steps: number): number[] {
  const count = trainTimesteps(config);
  switch (choiceOf(config, "timestep_spacing", SPACINGS)) {
    case "leading": {
      const [stride, offset] = [strideOf(count, steps), numberOf(config, "steps_offset")];
      return Array.from({ length: steps }, (_, i) => (steps - 1 - i) * stride + offset);
    }
    case "linspace": {
      const stride = steps === 1 ? 0 : (count - 1) / (steps - 1);
      return Array.from({ length: steps }, (_, i) =>
        linspaced(steps - 1 - i, stride, steps, count),
      );
    }
    case "trailing":
      return trailingList(count, count / steps);
  }
}

/** Timesteps one below `from` and every `stride` down. */
export function trailingList(from: number, stride: number): number[] {
  // NumPy's arange steps by the difference of its first two values, rounding and all.
  const exact = from - (from - stride);
  const length = Math.ceil(from / stride);
  return Array.from({ length }, (_, i) => roundHalfEven(from - i * exact) - 1);
}

function linspaced(i: number, stride: number, steps: number, count: number): number {
  return i > 0 && i === steps - 1 ? count - 1 : i * stride;
}

/** How far one step of DDIM and PNDM goes down, whatever the spacing of the list. */
export function strideOf(trainTimesteps: number, steps: number): number {
  return Math.floor(trainTimesteps / steps);
}

/** NumPy's rounding: a half goes to the even neighbour. */
export function roundHalfEven(value: number): number {
  const floor = Math.floor(value);
  const rest = value - floor;
  return rest < 0.5 || (rest === 0.5 && floor % 2 === 0) ? floor : floor + 1;
}

/**
 * ᾱ at a timestep: past the clean end it is ᾱ_0, or 1 where set_alpha_to_one says so.
 * Throws SamplerError above the noisy end, where steps_offset can push a full-length list.
 */
export function alphaReader(config: SchedulerConfig): (timestep: number) => number {
  const table = alphasCumprod(config);
  const last = config.set_alpha_to_one === true ? 1 : table[0]!;
  return (timestep) => {
    if (timestep < 0) return last;
    const alpha = table[timestep];
    if (alpha !== undefined) return alpha;
    throw new SamplerError(
      `timestep ${timestep} lies beyond the ${table.length} that the model was trained with: ` +
        "take fewer steps",
    );
  };
}
