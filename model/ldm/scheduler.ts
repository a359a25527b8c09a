/** The scheduler of a single file, which holds none: what the published folders say of each kind. */
import type { ModelKind, PredictionType } from "../detect.ts";

type Json = Readonly<Record<string, unknown>>;

/** The keys of 2022. No `timestep_spacing`: so each solver takes its own default. */
const COMMON: Json = {
  beta_schedule: "scaled_linear",
  clip_sample: false,
  num_train_timesteps: 1000,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  trained_betas: null,
};

/** The yamls' `linear_start` and `linear_end`. */
const BETAS = { beta_start: 0.00085, beta_end: 0.012 };
const X4_BETAS = { beta_start: 0.0001, beta_end: 0.02 };

/** scheduler/scheduler_config.json: PNDM where noise is predicted, DDIM where v is and for the upscaler. */
export function schedulerJson(kind: ModelKind, prediction: PredictionType): Json {
  const ddim = kind === "x4-upscaling" || prediction === "v_prediction";
  return {
    _class_name: ddim ? "DDIMScheduler" : "PNDMScheduler",
    ...COMMON,
    ...(kind === "x4-upscaling" ? X4_BETAS : BETAS),
    prediction_type: prediction,
  };
}
