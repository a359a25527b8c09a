/** Every public op, under PyTorch's names (in camelCase, and as PyTorch spells them). */
export * from "./attention.ts";
export { scaledDotProductAttention as scaled_dot_product_attention } from "./attention.ts";
export { type Conv2dOptions, conv2d, type Padding } from "./conv2d.ts";
export { add, cast, div, gelu, mul, relu, sigmoid, silu, sub } from "./elementwise.ts";
export * from "./interpolate.ts";
export * from "./layout.ts";
export { linear, matmul } from "./linear.ts";
export {
  groupNorm,
  groupNorm as group_norm,
  layerNorm,
  layerNorm as layer_norm,
  softmax,
} from "./norm.ts";
export { type MaxPool2dOptions, maxPool2d, maxPool2d as max_pool2d } from "./pool.ts";
export { embedding, mean } from "./reduce.ts";
