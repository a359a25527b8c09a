/** MiDaS's depth estimator, and what comes before and after it: what a pipeline needs. */
export { type DptConfig, dptConfig, inputMultiple } from "./config.ts";
export {
  compileDepth,
  compileDepthResize,
  type DepthSizes,
  depthGraph,
  estimateDepth,
  givenDepth,
  resizeGraph,
} from "./estimator.ts";
export { expectedDepth } from "./expected.ts";
export { type DepthLatents, depthLatents } from "./latents.ts";
export { depthFromLdm, MIDAS_HYBRID } from "./ldm.ts";
export {
  type DepthPixels,
  type DptProcessor,
  depthPixels,
  dptProcessor,
  inputSize,
  type Resize,
  type RgbPicture,
} from "./processor.ts";
