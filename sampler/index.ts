export {
  SAMPLER_CLASSES,
  SAMPLER_NAMES,
  SamplerError,
  type SamplerName,
  type SchedulerConfig,
} from "./config.ts";
export type { PredictionType } from "./prediction.ts";
export { createSampler, type Sampler, type SamplerOptions } from "./sampler.ts";
export { HISTORY_SLOTS, type History, type Step } from "./step.ts";
