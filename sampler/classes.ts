/** A diffusers scheduler_config.json as parsed: keys are read where they are used, others ignored. */
export type SchedulerConfig = Readonly<Record<string, unknown>>;

/** The solvers, by the name that a user types, and the diffusers class of each. */
export const SAMPLER_CLASSES = {
  ddim: "DDIMScheduler",
  ddpm: "DDPMScheduler",
  pndm: "PNDMScheduler",
  lms: "LMSDiscreteScheduler",
  euler: "EulerDiscreteScheduler",
  euler_a: "EulerAncestralDiscreteScheduler",
  heun: "HeunDiscreteScheduler",
  dpm2: "KDPM2DiscreteScheduler",
  dpm2_a: "KDPM2AncestralDiscreteScheduler",
  dpmpp_2m: "DPMSolverMultistepScheduler",
  dpmpp_2m_sde: "DPMSolverMultistepScheduler",
  dpmpp_2s: "DPMSolverSinglestepScheduler",
  /** k-diffusion's own: diffusers has no class for it. */
  dpmpp_2s_a: null,
  dpmpp_sde: "DPMSolverSDEScheduler",
  deis: "DEISMultistepScheduler",
  unipc: "UniPCMultistepScheduler",
  lcm: "LCMScheduler",
  tcd: "TCDScheduler",
} as const;

export type SamplerName = keyof typeof SAMPLER_CLASSES;

export const SAMPLER_NAMES = Object.keys(SAMPLER_CLASSES) as readonly SamplerName[];

const COMMON = {
  num_train_timesteps: 1000,
  beta_start: 0.0001,
  beta_end: 0.02,
  beta_schedule: "linear",
  trained_betas: null,
  prediction_type: "epsilon",
  steps_offset: 0,
};

/** Solvers on ᾱ, one row for each timestep. */
const ON_ALPHAS = { ...COMMON, timestep_spacing: "leading", thresholding: false };

const SIGMA_SPACINGS = {
  use_karras_sigmas: false,
  use_exponential_sigmas: false,
  use_beta_sigmas: false,
  sigma_min: null,
  sigma_max: null,
};

/** k-diffusion's solvers, on σ. */
const ON_SIGMAS = { ...COMMON, timestep_spacing: "linspace" };
const K_DIFFUSION = { ...ON_SIGMAS, ...SIGMA_SPACINGS };
const K_DIFFUSION_2 = { ...K_DIFFUSION, beta_start: 0.00085, beta_end: 0.012 };

/** Exponential integrators, on half the log of the signal-to-noise ratio. */
const ON_LAMBDAS = {
  ...ON_SIGMAS,
  ...SIGMA_SPACINGS,
  thresholding: false,
  use_flow_sigmas: false,
  solver_order: 2,
  lower_order_final: true,
};
const DPM_SOLVER = {
  ...ON_LAMBDAS,
  algorithm_type: "dpmsolver++",
  solver_type: "midpoint",
  final_sigmas_type: "zero",
  lambda_min_clipped: null,
  variance_type: null,
};
const DPM_MULTISTEP = {
  ...DPM_SOLVER,
  euler_at_final: false,
  use_lu_lambdas: false,
  rescale_betas_zero_snr: false,
};

const CONSISTENCY = {
  ...ON_ALPHAS,
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  clip_sample: false,
  original_inference_steps: 50,
  timestep_scaling: 10,
  rescale_betas_zero_snr: false,
};

/** What each class takes for a key that its configuration lacks (diffusers 0.42); it knows no other key. */
export const DEFAULTS: Readonly<Record<SamplerName, SchedulerConfig>> = {
  ddim: { ...ON_ALPHAS, set_alpha_to_one: true, clip_sample: true, rescale_betas_zero_snr: false },
  ddpm: {
    ...ON_ALPHAS,
    variance_type: "fixed_small",
    clip_sample: true,
    rescale_betas_zero_snr: false,
  },
  pndm: {
    ...COMMON,
    timestep_spacing: "leading",
    set_alpha_to_one: false,
    skip_prk_steps: false,
  },
  lms: K_DIFFUSION,
  euler: {
    ...K_DIFFUSION,
    interpolation_type: "linear",
    timestep_type: "discrete",
    final_sigmas_type: "zero",
    rescale_betas_zero_snr: false,
  },
  euler_a: { ...ON_SIGMAS, rescale_betas_zero_snr: false },
  heun: { ...K_DIFFUSION_2, clip_sample: false },
  dpm2: K_DIFFUSION_2,
  dpm2_a: K_DIFFUSION_2,
  dpmpp_2m: DPM_MULTISTEP,
  dpmpp_2m_sde: { ...DPM_MULTISTEP, algorithm_type: "sde-dpmsolver++" },
  dpmpp_2s: { ...DPM_SOLVER, lower_order_final: false },
  dpmpp_2s_a: K_DIFFUSION,
  dpmpp_sde: K_DIFFUSION_2,
  deis: { ...ON_LAMBDAS, algorithm_type: "deis", solver_type: "logrho" },
  unipc: {
    ...ON_LAMBDAS,
    predict_x0: true,
    solver_type: "bh2",
    disable_corrector: [],
    solver_p: null,
    final_sigmas_type: "zero",
    rescale_betas_zero_snr: false,
  },
  lcm: CONSISTENCY,
  tcd: CONSISTENCY,
};
