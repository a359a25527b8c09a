/** The public face of the package: open a checkpoint, paint, and tell what went wrong. */
export { readDepthFile, readImage, readImageFile } from "#image";
export { DiffusionError, type ErrorCode } from "../engine/errors.ts";
export type { ModelSource } from "./files/model-source.ts";
export type { HubEvent } from "./hub/events.ts";
export type { DepthMap } from "./image/depth.ts";
export type { RgbImage } from "./image/image.ts";
export type { OpenOptions } from "./open-options.ts";
export { Picture } from "./picture.ts";
export { StableDiffusion } from "./pipeline.ts";
export {
  type CheckedRequest,
  type CheckingPipeline,
  type GenerateRequest,
  type GenerateResult,
  type ImagePipeline,
  LIMITS,
  type LoadEvent,
  type LoadOptions,
  type LoadPipeline,
  type ModelInfo,
  type PreviewEvent,
  type RequestDefaults,
  type ResolvedRequest,
  type RgbaImage,
  SCHEDULERS,
  type StepEvent,
} from "./request.ts";
export type { SheetEvent, SheetRequest } from "./sheet/axes.ts";
export { paintSheet, type SheetCell, type SheetResult } from "./sheet/paint.ts";
export { type ReadWatermark, readWatermark, watermark } from "./watermark.ts";
