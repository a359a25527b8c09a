export {
  SAMPLER_CLASSES,
  SAMPLER_NAMES,
  SAMPLER_VARIANTS,
  SamplerError,
  type SamplerName,
  type SchedulerConfig,
  SIGMA_SPACINGS,
  type SigmaSpacing,
} from "./config.ts";
export type { PredictionType } from "./prediction.ts";
export { createSampler, type Sampler, type SamplerOptions } from "./sampler.ts";
export {
  type Clean,
  HISTORY_SLOTS,
  type History,
  type Start,
  type Step,
  type Store,
} from "./step.ts";
