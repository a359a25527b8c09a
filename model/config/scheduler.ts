/** scheduler/scheduler_config.json. Which keys stand in it matters, so it is kept as it is. */
import { DiffusionError } from "../../engine/errors.ts";
import { resolveConfig, SAMPLER_CLASSES, SamplerError } from "../../sampler/config.ts";
import { type ConfigFile, choiceOf, configFile, rawValue } from "./fields.ts";

export interface SchedulerConfig {
  /** The solver that runs: the one asked for, or the folder's own. */
  readonly scheduler: keyof typeof SAMPLER_CLASSES;
  readonly predictionType: "epsilon" | "v_prediction";
  /** The file's own keys and values, with `_class_name`; the sampler fills in what is absent. */
  readonly values: Readonly<Record<string, unknown>>;
}

const PREDICTIONS = { epsilon: "epsilon", v_prediction: "v_prediction" } as const;

/**
 * The scheduler's configuration. `scheduler` swaps the solver, and then the folder's class may be
 * one that is unknown here; `className` is model_index.json's, which diffusers follows.
 * Throws SCHEDULER with the supported names for an unknown class or prediction type.
 */
export function schedulerConfig(
  json: unknown,
  name = "scheduler/scheduler_config.json",
  options: { scheduler?: string | undefined; className?: string | undefined } = {},
): SchedulerConfig {
  const file = configFile(json, name, "SCHEDULER");
  const className = options.className ?? rawValue(file, "_class_name", undefined);
  const values = { ...file.values, _class_name: className };
  return {
    scheduler: solverOf(file, options.scheduler, values),
    predictionType: choiceOf(file, "prediction_type", PREDICTIONS, "epsilon"),
    values,
  };
}

function solverOf(file: ConfigFile, scheduler: string | undefined, values: ConfigFile["values"]) {
  try {
    return resolveConfig(scheduler, values)[0];
  } catch (cause) {
    if (!(cause instanceof SamplerError)) throw cause;
    const hint = `choose one by name: --scheduler ${Object.keys(SAMPLER_CLASSES).join("|")}`;
    throw new DiffusionError("SCHEDULER", `${file.name}: ${cause.message}`, { hint, cause });
  }
}
