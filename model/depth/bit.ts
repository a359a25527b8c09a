/**
 * The convolutional half of DPT-hybrid: BiT's ResNet (Kolesnikov et al. 2020) with normalisation after each
 * convolution, as timm's vit_base_resnet50_384 has it. Weights of convolutions are standardised (Qiao et al.
 * 2019), once, when they are loaded; paddings are TensorFlow's "same".
 */
import {
  add,
  cast,
  conv2d,
  layerNorm,
  maxPool2d,
  type Padding,
  relu,
  reshape,
  type Tensor,
} from "../../engine/index.ts";
import { layer, type Weights } from "../../engine/parameters.ts";
import { group } from "../layers.ts";
import type { BitConfig } from "./config.ts";

const WEIGHT_EPS = 1e-8;
const NORM_EPS = 1e-5;

/** The results of the stages, finest first: 1/4, 1/8 and 1/16 of the picture x [B, H, W, 3]. */
export const backbone = layer((w, config: BitConfig, x: Tensor): Tensor[] => {
  let h = stem(w.at("embedder"), config, x);
  return w.list("encoder.stages").map((stage, index) => {
    stage.list("layers").forEach((block, i) => {
      h = bottleneck(block, config, h, index > 0 && i === 0 ? 2 : 1);
    });
    return h;
  });
});

/** Half the size by a convolution, half again by the largest of 3x3. x [B, H, W, 3] -> [B, H/4, W/4, C]. */
export const stem = layer((w, config: BitConfig, x: Tensor): Tensor => {
  const h = relu(norm(w.at("norm"), config, standardConv(w.at("convolution"), x, 2)));
  // What the padding adds is below anything after a ReLU, in timm (-inf) as in transformers (0).
  return maxPool2d(h, 3, { stride: 2, padding: same(h, [3, 3], 2) });
});

/** relu(x + norm3(conv3(relu(norm2(conv2(relu(norm1(conv1 x)))))))), x projected where sizes change (He et al. 2015). */
export const bottleneck = layer((w, config: BitConfig, x: Tensor, stride: number): Tensor => {
  const step = (i: number, h: Tensor, by = 1) =>
    norm(w.at(`norm${i}`), config, standardConv(w.at(`conv${i}`), h, by));
  const h = step(3, relu(step(2, relu(step(1, x)), stride)));
  return relu(add(h, w.has("downsample") ? shortcut(w.at("downsample"), config, x, stride) : x));
});

const shortcut = layer(
  (w, config: BitConfig, x: Tensor, stride: number): Tensor =>
    norm(w.at("norm"), config, standardConv(w.at("conv"), x, stride)),
);

const norm = (w: Weights, { numGroups }: BitConfig, x: Tensor) =>
  group(w, x, { groups: numGroups, eps: NORM_EPS });

const standardConv = layer((w, x: Tensor, stride: number): Tensor => {
  const weight = w.tensor("weight");
  const [, , height, width] = weight.shape as [number, number, number, number];
  const padding = same(x, [height, width], stride);
  return conv2d(x, standardised(weight), null, { stride, padding });
});

/** Each output channel's weights with mean 0 and variance 1: an expression of a parameter, so a constant. */
function standardised(weight: Tensor): Tensor {
  const [out, ...rest] = weight.shape as [number, ...number[]];
  const fanIn = rest.reduce((product, n) => product * n, 1);
  // In f32 whatever the file's dtype: the result is rounded once, to the dtype of x.
  const rows = reshape(cast(weight, "f32"), [out, fanIn]);
  return reshape(layerNorm(rows, [fanIn], null, null, WEIGHT_EPS), weight.shape);
}

/** Zeros around x so that ceil(size / stride) windows fit; an odd one goes below and to the right. */
function same(x: Tensor, kernel: readonly [number, number], stride: number): Padding {
  const around = (size: number, window: number): [number, number] => {
    const total = Math.max(0, (Math.ceil(size / stride) - 1) * stride + window - size);
    return [Math.floor(total / 2), Math.ceil(total / 2)];
  };
  const [, height, width] = x.shape as [number, number, number, number];
  return [...around(height, kernel[0]), ...around(width, kernel[1])];
}
