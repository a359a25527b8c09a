/**
 * Typed, checked views of the JSON files of a diffusers folder. No width is assumed: a key that is
 * absent takes the default of diffusers' 0.42 (transformers' 5) class, and a setting that is not
 * implemented is refused by name.
 */
export { type ModelIndex, modelIndex, type PipelineClass } from "./config/model-index.ts";
export { type SchedulerConfig, schedulerConfig } from "./config/scheduler.ts";
export { type TextConfig, textConfig } from "./config/text.ts";
export { checkTogether } from "./config/together.ts";
export { type UnetConfig, unetConfig } from "./config/unet.ts";
export { type VaeConfig, vaeConfig } from "./config/vae.ts";
