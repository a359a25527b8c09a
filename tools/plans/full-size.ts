/** The graphs of a full-size Stable Diffusion 2, from its configuration alone: weights that cannot be read. */

import type { Outputs } from "../../engine/graph.ts";
import { cast, type DType, input } from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import { textEncoder } from "../../model/clip.ts";
import { textConfig, unetConfig, vaeConfig } from "../../model/config.ts";
import { decodeGraph } from "../../model/decode.ts";
import { stepGraph, textGraph, timeGraph } from "../../model/denoise.ts";
import { encodeGraph } from "../../model/encode.ts";
import { expectedText, expectedUnet, expectedVae } from "../../model/expected.ts";

/** The three config.json files. */
export interface ConfigFiles {
  readonly text_encoder: unknown;
  readonly unet: unknown;
  readonly vae: unknown;
}

export interface FullSizeOptions {
  /** What is computed in; the weights are stored in f16. */
  readonly dtype: DType;
  /** Pixels to a side of the picture. */
  readonly size: number;
}

const STEPS = 50;
/** With guidance: the negative prompt and the prompt. */
const REPEATS = 2;

/** What a run compiles, by name: one picture, guidance, 50 steps. */
export function fullSizeGraphs(
  files: ConfigFiles,
  options: FullSizeOptions,
): Record<string, Outputs> {
  const { dtype, size } = options;
  const text = textConfig(files.text_encoder);
  const unet = unetConfig(files.unet);
  const vae = vaeConfig(files.vae);
  const weights = {
    text: unreadable("text_encoder", expectedText(text)),
    unet: unreadable("unet", expectedUnet(unet)),
    vae: unreadable("vae", expectedVae(vae)),
  };
  const side = size / 2 ** (vae.blockOutChannels.length - 1);
  const latents = { batch: 1, height: side, width: side, channels: vae.latentChannels };
  const tokens = text.maxPositionEmbeddings;
  const ids = input("ids", [REPEATS, tokens], "i32");
  const context = input("context", [REPEATS, tokens, text.hiddenSize], dtype);
  const sinusoids = input("sinusoids", [STEPS, unet.blockOutChannels[0]!], "f32");
  const projections = textGraph(weights.unet, unet, context);
  const times = timeGraph(weights.unet, cast(sinusoids, dtype));
  const sizes = { latents, evaluations: STEPS, repeats: REPEATS, dtype, text: projections };
  return {
    "text-encoder": { hidden: textEncoder(weights.text, text, ids, dtype) },
    "text-projections": projections,
    "time-projections": times,
    unet: stepGraph(weights.unet, unet, { ...sizes, times: times.times }),
    vae: { ...decodeGraph(weights.vae, vae, latents, dtype) },
  };
}

/** The way from a picture to its latents, which only some runs compile. */
export function fullSizeEncoder(files: ConfigFiles, { dtype, size }: FullSizeOptions): Outputs {
  const config = vaeConfig(files.vae);
  const weights = unreadable("vae", expectedVae(config));
  return { ...encodeGraph(weights, config, { batch: 1, height: size, width: size }, dtype) };
}

/** Weights of these shapes that cannot be read. */
export function unreadable(root: string, shapes: ReadonlyMap<string, readonly number[]>): Weights {
  const read = (name: string) => async () => {
    throw new Error(`${name} has a shape only`);
  };
  const tensors = [...shapes].map(([name, shape]) => {
    const byteLength = 2 * shape.reduce((product, n) => product * n, 1);
    return [name, { name, dtype: "F16", shape, byteLength, read: read(name) }] as const;
  });
  return Weights.of(root, new Map(tensors));
}
