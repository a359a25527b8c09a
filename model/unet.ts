/** UNet2DConditionModel: the denoiser of Stable Diffusion (Rombach et al. 2022). */
import {
  add,
  cast,
  concat,
  embedding,
  mul,
  reshape,
  silu,
  slice,
  sub,
  type Tensor,
} from "../engine/index.ts";
import { layer, type Weights } from "../engine/parameters.ts";
import type { UnetConfig } from "./config.ts";
import {
  conv,
  crossAttention,
  dense,
  downsample,
  feedForward,
  group,
  keysAndValues,
  type Norm,
  normalize,
  resnet,
  selfAttention,
  toTokens,
  upsample,
} from "./layers.ts";

/** What a UNet evaluation needs besides the latents. */
export interface Condition {
  /** The time embedding as each resnet wants it, side by side (`timeProjections`): [1 or B, Σ C]. */
  readonly times: Tensor;
  /** Keys and values of the text for the attention at this path (`textProjections`): [B, M, 2C]. */
  readonly text: (path: string) => Tensor;
}

/** Transformer2DModel normalises with this epsilon whatever the configuration says. */
const TRANSFORMER_EPS = 1e-6;
const LAYER_NORM_EPS = 1e-5;

/** The model's output for latents x [B, h, w, in_channels] -> [B, h, w, out_channels]. Any h and w. */
export const unet = layer((w, config: UnetConfig, x: Tensor, condition: Condition): Tensor => {
  const norm = { groups: config.normNumGroups, eps: config.normEps };
  const time = timeSlices(w, condition.times);
  const stage = { config, norm, time, text: condition.text };
  const centred = config.centerInputSample ? sub(mul(x, 2), 1) : x;
  let h = conv(w.at("conv_in"), centred, { padding: 1 });
  const skips = [h];
  w.list("down_blocks").forEach((block, level) => {
    h = downBlock(block, stage, level, h, skips);
  });
  h = midBlock(w.at("mid_block"), stage, h);
  w.list("up_blocks").forEach((block, index) => {
    h = upBlock(block, stage, index, h, skips);
  });
  return conv(w.at("conv_out"), silu(group(w.at("conv_norm_out"), h, norm)), { padding: 1 });
});

/** A resolution, finest first; the middle block follows the coarsest, with its own rules. */
export type Level = number | "mid";

/** What every block of the UNet is given. */
export interface Stage {
  readonly config: UnetConfig;
  readonly norm: Norm;
  /** What the time adds in the resnet at a path: [1 or B, C']. */
  readonly time: (path: string) => Tensor;
  readonly text: Condition["text"];
}

/** (Resnet, then transformer) per layer, each result kept for the way up; then half the size. */
export const downBlock = layer(
  (w, stage: Stage, level: number, x: Tensor, skips: Tensor[]): Tensor => {
    let h = x;
    w.list("resnets").forEach((block, i) => {
      h = resnet(block, h, stage.norm, stage.time(block.path));
      if (w.has("attentions")) h = transformer(w.at(`attentions.${i}`), stage, level, h);
      skips.push(h);
    });
    if (!w.has("downsamplers")) return h;
    h = downsample(w.at("downsamplers.0"), h, downPadding(stage.config));
    skips.push(h);
    return h;
  },
);

/** diffusers pads one row below and one column to the right where the configuration says 0. */
function downPadding(config: UnetConfig): number | readonly [number, number, number, number] {
  return config.downsamplePadding === 0 ? [0, 1, 0, 1] : config.downsamplePadding;
}

/** Resnet, then (transformer, resnet) as often as there are weights for it. */
export const midBlock = layer((w, stage: Stage, x: Tensor): Tensor => {
  const [first, ...rest] = w.list("resnets");
  let h = resnet(first!, x, stage.norm, stage.time(first!.path));
  rest.forEach((block, i) => {
    h = transformer(w.at(`attentions.${i}`), stage, "mid", h);
    h = resnet(block, h, stage.norm, stage.time(block.path));
  });
  return h;
});

/** As on the way down, with the skip of that level beside the channels; then the next skip's size. */
export const upBlock = layer(
  (w, stage: Stage, index: number, x: Tensor, skips: Tensor[]): Tensor => {
    const level = stage.config.blockOutChannels.length - 1 - index;
    let h = x;
    w.list("resnets").forEach((block, i) => {
      h = resnet(block, concat([h, skips.pop()!], -1), stage.norm, stage.time(block.path));
      if (w.has("attentions")) h = transformer(w.at(`attentions.${i}`), stage, level, h);
    });
    if (!w.has("upsamplers")) return h;
    const [, height, width] = skips.at(-1)!.shape as [number, number, number, number];
    return upsample(w.at("upsamplers.0"), h, [height, width]);
  },
);

/** Transformer2DModel: norm, projection, transformer blocks on the pixels as tokens, projection, residual. */
export const transformer = layer(
  (w, stage: Omit<Stage, "time">, level: Level, x: Tensor): Tensor => {
    const normed = group(w.at("norm"), x, {
      groups: stage.config.normNumGroups,
      eps: TRANSFORMER_EPS,
    });
    let h = toTokens(project(w.at("proj_in"), normed));
    for (const block of w.list("transformer_blocks")) h = transformerBlock(block, stage, level, h);
    return add(project(w.at("proj_out"), reshape(h, x.shape)), x);
  },
);

/** Linear in SD2; a 1x1 convolution, the same thing, in older checkpoints. */
const project = layer(
  (w, x: Tensor): Tensor => (w.tensor("weight").shape.length === 4 ? conv(w, x) : dense(w, x)),
);

/** BasicTransformerBlock: self-attention, cross-attention and feed-forward, each on a norm, each added. x [B, N, C]. */
export const transformerBlock = layer(
  (w, stage: Omit<Stage, "time">, level: Level, x: Tensor): Tensor => {
    const { numAttentionHeads } = stage.config;
    const heads = level === "mid" ? numAttentionHeads.at(-1)! : numAttentionHeads[level]!;
    const norm = (name: string, h: Tensor) => normalize(w.at(name), h, LAYER_NORM_EPS);
    const look = (name: string, h: Tensor) =>
      seesText(stage.config, level, name)
        ? crossAttention(w.at(name), h, stage.text(w.at(name).path), heads)
        : selfAttention(w.at(name), h, heads);
    let h = add(look("attn1", norm("norm1", x)), x);
    h = add(look("attn2", norm("norm2", h)), h);
    return add(feedForward(w.at("ff"), norm("norm3", h)), h);
  },
);

/** The second attention looks at the text; in the x4 upscaler the first does too at some levels, never in the middle. */
function seesText(config: UnetConfig, level: Level, name: string): boolean {
  return name === "attn2" || (level !== "mid" && config.onlyCrossAttention[level] === true);
}

/**
 * Timesteps to what the resnets add, for all steps of a run at once: the MLP of the time embedding, the class
 * beside it where the model has classes, then each resnet's projection, side by side in the order of `resnets`.
 * sinusoids [S, C], label [1] i32 (the x4 upscaler's noise level) -> [S, Σ C'].
 */
export const timeProjections = layer((w, sinusoids: Tensor, label?: Tensor): Tensor => {
  const time = timeEmbedding(w.at("time_embedding"), sinusoids);
  const embedded = silu(
    label ? add(time, classEmbedding(w.at("class_embedding"), label, time)) : time,
  );
  return concat(
    resnets(w).map((block) => dense(block.at("time_emb_proj"), embedded)),
    -1,
  );
});

/** nn.Embedding of a class. label [1] i32 -> [1, C] in the dtype of `like`. */
export const classEmbedding = layer(
  (w, label: Tensor, like: Tensor): Tensor =>
    cast(embedding(label, w.tensor("weight")), like.dtype),
);

/** TimestepEmbedding: two dense layers. sinusoids [S, C] -> [S, 4C]. */
export const timeEmbedding = layer(
  (w, sinusoids: Tensor): Tensor =>
    dense(w.at("linear_2"), silu(dense(w.at("linear_1"), sinusoids))),
);

/** Cuts `timeProjections` apart again: the row piece of the resnet at a path. */
function timeSlices(w: Weights, times: Tensor): (path: string) => Tensor {
  const pieces = new Map<string, Tensor>();
  let start = 0;
  for (const block of resnets(w)) {
    const width = block.tensor("time_emb_proj.bias").shape[0]!;
    pieces.set(block.path, slice(times, -1, start, start + width));
    start += width;
  }
  return (path) => pieces.get(path)!;
}

/** All resnets in the order that they run. */
function resnets(w: Weights): Weights[] {
  const blocks = [...w.list("down_blocks"), w.at("mid_block"), ...w.list("up_blocks")];
  return blocks.flatMap((block) => block.list("resnets"));
}

/** Keys and values of the text for every attention that looks at it, by path. context [B, M, D]. */
export function textProjections(
  w: Weights,
  config: UnetConfig,
  context: Tensor,
): Map<string, Tensor> {
  const found = new Map<string, Tensor>();
  for (const { block, level } of transformerBlocks(w)) {
    for (const name of ["attn1", "attn2"]) {
      const attention = block.at(name);
      if (seesText(config, level, name))
        found.set(attention.path, keysAndValues(attention, context));
    }
  }
  return found;
}

function transformerBlocks(w: Weights): { block: Weights; level: Level }[] {
  const down = w.list("down_blocks");
  const levels: { stage: Weights; level: Level }[] = [
    ...down.map((stage, level) => ({ stage, level })),
    { stage: w.at("mid_block"), level: "mid" },
    ...w.list("up_blocks").map((stage, i) => ({ stage, level: down.length - 1 - i })),
  ];
  return levels.flatMap(({ stage, level }) =>
    stage
      .list("attentions")
      .flatMap((attention) => attention.list("transformer_blocks"))
      .map((block) => ({ block, level })),
  );
}

/**
 * Sinusoidal embedding of timesteps (Vaswani et al. 2017), [S, channels]. On the CPU, since WGSL's sin and
 * cos are not accurate enough; angles are rounded to float32 as in diffusers' get_timestep_embedding,
 * where 999 · frequency is off by up to 3e-5.
 */
export function timestepEmbedding(timesteps: readonly number[], config: UnetConfig): Float32Array {
  const channels = config.blockOutChannels[0]!;
  const half = Math.floor(channels / 2);
  const [first, second] = config.flipSinToCos ? [Math.cos, Math.sin] : [Math.sin, Math.cos];
  const out = new Float32Array(timesteps.length * channels);
  timesteps.forEach((timestep, row) => {
    for (let i = 0; i < half; i++) {
      const angle = fround(fround(timestep) * frequency(i, half - config.freqShift));
      out[row * channels + i] = first(angle);
      out[row * channels + half + i] = second(angle);
    }
  });
  return out;
}

const { fround } = Math;

function frequency(index: number, count: number): number {
  return fround(Math.exp(fround(fround(fround(-Math.log(10_000)) * index) / count)));
}
