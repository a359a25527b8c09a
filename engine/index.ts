/** The engine's public face: open a device, build a graph of ops, run it. */

export { type CompileOptions, compile } from "./compile.ts";
export { Device, type DeviceOptions, openDevice } from "./device.ts";
export type { DType } from "./dtype.ts";
export { DiffusionError } from "./errors.ts";
export { type Evaluated, evaluate } from "./evaluate.ts";
export { custom } from "./ops/custom.ts";
export * from "./ops/index.ts";
export type { Plan, Timing, Traced } from "./plan.ts";
export type { Shape } from "./shape.ts";
export {
  input,
  type ParameterSource,
  parameter,
  type Tensor,
  tensor,
  withScope,
} from "./tensor.ts";
export type { TuningStore } from "./tuning/record.ts";
export { type Measured, type Tuned, type TuneOptions, tune } from "./tuning/tune.ts";
export { WeightCache } from "./weights.ts";
