/** A diffusers scheduler_config.json as parsed: keys are read where they are used, others ignored. */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

/** A scheduler configuration or a step count that no sampler here can follow. */
export class SamplerError extends RangeError {
  override readonly name = "SamplerError";
}

/** The solvers, by the name that a user types, and the diffusers class of each. */
export const SAMPLER_CLASSES = {
  ddim: "DDIMScheduler",
  pndm: "PNDMScheduler",
  euler: "EulerDiscreteScheduler",
} as const;

export type SamplerName = keyof typeof SAMPLER_CLASSES;

export const SAMPLER_NAMES = Object.keys(SAMPLER_CLASSES) as readonly SamplerName[];

/** What each diffusers class takes for a key that its configuration lacks (diffusers 0.42). */
const COMMON = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: "linear",
  trained_betas: null,
  prediction_type: "epsilon",
  steps_offset: 0,
};
const DEFAULTS: Readonly<Record<SamplerName, SchedulerConfig>> = {
  ddim: {
    ...COMMON,
    timestep_spacing: "leading",
    set_alpha_to_one: true,
    clip_sample: true,
    thresholding: false,
    rescale_betas_zero_snr: false,
  },
  pndm: {
    ...COMMON,
    timestep_spacing: "leading",
    set_alpha_to_one: false,
    skip_prk_steps: false,
  },
  euler: {
    ...COMMON,
    timestep_spacing: "linspace",
    interpolation_type: "linear",
    use_karras_sigmas: false,
    use_exponential_sigmas: false,
    use_beta_sigmas: false,
    timestep_type: "discrete",
    final_sigmas_type: "zero",
    rescale_betas_zero_snr: false,
  },
};

/**
 * The solver and its full configuration, as diffusers' StableDiffusionPipeline arrives at them.
 * With no name, the folder's own class runs, and the pipeline mends two old habits of such files:
 * steps_offset becomes 1 and clip_sample false. With a name it is
 * `X.from_config(pipe.scheduler.config)` after that: keys that stand in the file carry over, mended,
 * and an absent key takes X's own default, unmended.
 */
export function resolveConfig(
  name: string | undefined,
  file: SchedulerConfig,
): readonly [SamplerName, SchedulerConfig] {
  const chosen = name === undefined ? ownName(file) : namedSampler(name);
  if (name === undefined) return [chosen, mend({ ...DEFAULTS[chosen], ...file })];
  return [chosen, { ...DEFAULTS[chosen], ...mend(file) }];
}

function mend(config: SchedulerConfig): SchedulerConfig {
  return {
    ...config,
    ...("steps_offset" in config && { steps_offset: 1 }),
    ...(config.clip_sample === true && { clip_sample: false }),
  };
}

function namedSampler(name: string): SamplerName {
  const found = SAMPLER_NAMES.find((known) => known === name);
  if (found === undefined) {
    throw new SamplerError(`scheduler "${name}" is unknown; there are ${SAMPLER_NAMES.join(", ")}`);
  }
  return found;
}

function ownName(file: SchedulerConfig): SamplerName {
  const found = SAMPLER_NAMES.find((name) => SAMPLER_CLASSES[name] === file._class_name);
  if (found === undefined) {
    const classes = Object.values(SAMPLER_CLASSES).join(", ");
    throw new SamplerError(
      `scheduler_config.json: _class_name ${JSON.stringify(file._class_name)} has no sampler here; ` +
        `there are ${classes}: choose one by name (${SAMPLER_NAMES.join(", ")})`,
    );
  }
  return found;
}

/** The number under `key`. Throws SamplerError if it is none. */
export function numberOf(config: SchedulerConfig, key: string): number {
  const value = config[key];
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw new SamplerError(
    `scheduler_config.json: ${key} is ${JSON.stringify(value)}, wanted a number`,
  );
}

/** The value under `key`, one of `choices`. Throws SamplerError that lists them. */
export function choiceOf<T extends string>(
  config: SchedulerConfig,
  key: string,
  choices: readonly T[],
): T {
  const found = choices.find((choice) => choice === config[key]);
  if (found !== undefined) return found;
  throw new SamplerError(
    `scheduler_config.json: ${key} ${JSON.stringify(config[key])} is not supported; ` +
      `wanted ${choices.join(", ")}`,
  );
}
