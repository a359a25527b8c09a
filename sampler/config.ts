import {
  DEFAULTS,
  SAMPLER_CLASSES,
  SAMPLER_NAMES,
  type SamplerName,
  type SchedulerConfig,
} from "./classes.ts";

export { SAMPLER_CLASSES, SAMPLER_NAMES, type SamplerName, type SchedulerConfig };

/** A scheduler configuration or a step count that no sampler here can follow. */
export class SamplerError extends RangeError {
  override readonly name = "SamplerError";
}

/** How the σ of a run can be spaced in place of the timesteps' own. */
export const SIGMA_SPACINGS = ["karras", "exponential", "beta"] as const;

export type SigmaSpacing = (typeof SIGMA_SPACINGS)[number];

/** Solvers whose timesteps cannot follow from σ: they step on ᾱ. */
const WITHOUT_SIGMAS: readonly SamplerName[] = ["ddim", "ddpm", "pndm", "lcm", "tcd"];

/** Every name that `createSampler` takes: the solvers, and those with σ also with each spacing. */
export const SAMPLER_VARIANTS: readonly string[] = SAMPLER_NAMES.flatMap((name) => [
  name,
  ...(WITHOUT_SIGMAS.includes(name) ? [] : SIGMA_SPACINGS.map((spacing) => `${name}_${spacing}`)),
]);

/** A sampler's name apart from its spacing of σ: "dpmpp_2m_karras" is dpmpp_2m with karras. */
export function splitName(name: string): readonly [string, SigmaSpacing | undefined] {
  const spacing = SIGMA_SPACINGS.find((each) => name.endsWith(`_${each}`));
  return spacing ? [name.slice(0, -spacing.length - 1), spacing] : [name, undefined];
}

/**
 * The solver and its full configuration, as diffusers' StableDiffusionPipeline arrives at them.
 * With no name, the folder's own class runs, and the pipeline mends two old habits of such files:
 * steps_offset becomes 1 and clip_sample false. With a name it is
 * `X.from_config(pipe.scheduler.config)` after that: keys that stand in the file carry over, mended,
 * and an absent key takes X's own default, unmended. A key that the class does not know is left out.
 * A name says which algorithm of DPM-Solver runs, whatever the file says.
 */
export function resolveConfig(
  name: string | undefined,
  file: SchedulerConfig,
): readonly [SamplerName, SchedulerConfig] {
  if (name === undefined) {
    const own = ownName(file);
    return [own, mend(known(own, file))];
  }
  const [base, spacing] = splitName(name);
  const chosen = namedSampler(base, name);
  const config = known(chosen, mend(file));
  const { algorithm_type } = DEFAULTS[chosen];
  return [
    chosen,
    {
      ...config,
      ...(algorithm_type !== undefined && { algorithm_type }),
      ...(spacing && spacedSigmas(chosen, spacing)),
    },
  ];
}

function known(name: SamplerName, file: SchedulerConfig): SchedulerConfig {
  const defaults = DEFAULTS[name];
  const given = Object.entries(file).filter(([key]) => Object.hasOwn(defaults, key));
  return { ...defaults, ...Object.fromEntries(given) };
}

function mend(config: SchedulerConfig): SchedulerConfig {
  return {
    ...config,
    ...("steps_offset" in config && { steps_offset: 1 }),
    ...(config.clip_sample === true && { clip_sample: false }),
  };
}

/** The keys that space σ so, and no other way. Throws SamplerError where a solver has no σ. */
export function spacedSigmas(name: SamplerName, spacing: SigmaSpacing): SchedulerConfig {
  if (WITHOUT_SIGMAS.includes(name)) {
    throw new SamplerError(
      `${name} has no sigmas to space by ${spacing}: choose another sampler, or leave "${spacing}" out`,
    );
  }
  return {
    ...Object.fromEntries(SIGMA_SPACINGS.map((each) => [`use_${each}_sigmas`, each === spacing])),
    use_lu_lambdas: false,
  };
}

function namedSampler(name: string, typed: string): SamplerName {
  const found = SAMPLER_NAMES.find((known) => known === name);
  if (found !== undefined) return found;
  throw new SamplerError(
    `scheduler "${typed}" is unknown; there are ${SAMPLER_NAMES.join(", ")}, ` +
      `those with sigmas also with ${SIGMA_SPACINGS.map((each) => `_${each}`).join(", ")}`,
  );
}

function ownName(file: SchedulerConfig): SamplerName {
  const found = SAMPLER_NAMES.find(
    (name) => SAMPLER_CLASSES[name] !== null && SAMPLER_CLASSES[name] === file._class_name,
  );
  if (found === undefined) {
    const classes = [...new Set(Object.values(SAMPLER_CLASSES))].filter((name) => name !== null);
    throw new SamplerError(
      `scheduler_config.json: _class_name ${JSON.stringify(file._class_name)} has no sampler here; ` +
        `there are ${classes.join(", ")}: choose one by name (${SAMPLER_NAMES.join(", ")})`,
    );
  }
  const noisy = String(file.algorithm_type).startsWith("sde-");
  return found === "dpmpp_2m" && noisy ? "dpmpp_2m_sde" : found;
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

/** Throws SamplerError where the configuration clips x0 or the like: those steps are not linear. */
export function refuseNonlinear(name: SamplerName, config: SchedulerConfig): void {
  for (const key of ["thresholding", "clip_sample"]) {
    if (config[key] !== true) continue;
    throw new SamplerError(
      `${name} would run with ${key} true (${SAMPLER_CLASSES[name]}'s default where scheduler_config.json ` +
        `lacks the key), which is not supported: write "${key}": false into the file, as latent models want it`,
    );
  }
}
