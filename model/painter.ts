/** The plans of one run, for given sizes: prompt, times, step, decode. */
import {
  cast,
  compile,
  concat,
  type Device,
  type DType,
  expand,
  input,
  type Plan,
  reshape,
  slice,
  type Tensor,
  type WeightCache,
} from "../engine/index.ts";
import type { Checkpoint } from "./checkpoint.ts";
import { conditionText, joinChunks, textEncoder } from "./clip.ts";
import { decodeGraph, decodeTileGraph, type VaeOptions } from "./decode.ts";
import {
  allOf,
  type LatentShape,
  selectGraph,
  stepGraph,
  textGraph,
  timeGraph,
} from "./denoise.ts";
import type { Stage } from "./run-guidance.ts";
import type { Sides } from "./tile-grid.ts";
import { blendedStepGraph, tileGraph } from "./tiled-steps.ts";

/** Where plans are made, and how. */
export interface Setting {
  readonly device: Device;
  readonly weights: WeightCache;
  readonly dtype: DType;
  /** Stops loading between two weights. */
  readonly signal: AbortSignal;
}

export interface RunSizes {
  readonly latents: LatentShape;
  /** UNet evaluations. */
  readonly evaluations: number;
  /** 2 with guidance, more with several conditions: the negative prompt's half comes first. */
  readonly repeats: number;
  /** Whether the steps draw noise. */
  readonly noise: boolean;
  readonly tokens: number;
  /** Layers of the text encoder that are left out (default 0). */
  readonly clipSkip?: number;
  /** Prompts of several chunks, or with weights; absent: one chunk for each half, as it stands. */
  readonly chunks?: ChunkSizes | undefined;
  /** Channels beside the latents (default 0). */
  readonly beside?: number;
  /** Guidance beyond a scale. */
  readonly stage?: Stage | undefined;
  /** The UNet sees tiles of these sides (tiled-steps.ts); absent: all at once. */
  readonly tile?: Sides | undefined;
}

/** How the rows of `ids` make up encodings (see prompt/plan.ts). */
export interface ChunkSizes {
  /** Of each encoding. */
  readonly chunks: number;
  readonly encodings: number;
  /** Whether the words are weighted: `weights` and `shares` are inputs then. */
  readonly weighted: boolean;
  /** The encoding of each half; absent: the steps choose (`Plans.select`). */
  readonly halves?: readonly number[];
}

export interface Plans {
  readonly prompt: Plan;
  /** What the steps see of the prompt from now on (`rows`), for texts that change on the way. */
  readonly select: Plan | undefined;
  readonly times: Plan;
  readonly step: Plan;
  /** Runs before the step, once for each tile; absent where the step has the UNet. */
  readonly tile: Plan | undefined;
  destroy(): Promise<void>;
}

/**
 * Compiles what the loop needs. The plans are chained by their buffers; nothing passes the host. With a
 * decoder, the state is the decoder's, and the steps work in its memory.
 */
export async function compilePlans(
  setting: Setting,
  { text, unet }: Checkpoint,
  sizes: RunSizes,
  decoder?: Plan,
): Promise<Plans> {
  const { device, weights, dtype, signal } = setting;
  const { latents, evaluations, repeats, noise, beside, stage } = sizes;
  const plans: Plan[] = [];
  const keep = (plan: Plan): Plan => {
    plans.push(plan);
    return plan;
  };
  const destroy = async () => {
    for (const plan of plans) await plan.destroy();
  };
  try {
    const encodings = contextOf(text, sizes, dtype);
    const chosen = sizes.chunks !== undefined && sizes.chunks.halves === undefined;
    const context = chosen ? encodings : perPicture(encodings, latents.batch);
    const promptOutputs = textGraph(unet.weights, unet.config, context);
    const prompt = keep(await compile(device, promptOutputs, { label: "prompt", weights, signal }));

    const selected = chosen ? selectGraph(promptOutputs, repeats * latents.batch) : undefined;
    const paths = Object.keys(promptOutputs);
    const all = Object.fromEntries(paths.map((path) => [allOf(path), prompt.buffer(path)]));
    const select =
      selected && keep(await compile(device, selected, { label: "select", bind: all, signal }));

    const sinusoids = input("sinusoids", [evaluations, unet.config.blockOutChannels[0]!], "f32");
    const label = unet.config.numClassEmbeds === null ? undefined : input("label", [1], "i32");
    const timeOutputs = timeGraph(unet.weights, cast(sinusoids, dtype), label);
    const times = keep(await compile(device, timeOutputs, { label: "times", weights, signal }));

    const stepSizes = {
      latents,
      evaluations,
      repeats,
      noise,
      dtype,
      text: selected ?? promptOutputs,
      times: timeOutputs.times,
      beside,
      stage,
    };
    const made = {
      times: times.buffer("times"),
      ...Object.fromEntries(paths.map((path) => [path, (select ?? prompt).buffer(path)])),
    };
    const state = decoder && { state: decoder.buffer("state") };
    const scratch = decoder?.scratch ?? [];
    const shared = { weights, signal, scratch };
    const carry = { state: "next" };
    if (!sizes.tile) {
      const graph = stepGraph(unet.weights, unet.config, stepSizes);
      const bind = { ...state, ...made };
      const step = keep(await compile(device, graph, { label: "step", ...shared, bind, carry }));
      return { prompt, select, times, step, tile: undefined, destroy };
    }
    const tile = keep(
      await compile(device, tileGraph(unet.weights, unet.config, stepSizes, sizes.tile), {
        ...{ label: "tile", ...shared },
        bind: { ...state, ...made },
        carry: { sum: "added" },
      }),
    );
    const step = keep(
      await compile(device, blendedStepGraph(stepSizes), {
        ...{ label: "step", ...shared, carry },
        bind: { state: tile.buffer("state"), sum: tile.buffer("sum") },
      }),
    );
    return { prompt, select, times, step, tile, destroy };
  } catch (error) {
    await destroy();
    throw error;
  }
}

/** Compiles the way from the state (an input of this plan) to bytes; with a tile, to one tile's pixels. */
export function compileDecoder(
  { device, weights, dtype, signal }: Setting,
  { vae }: Pick<Checkpoint, "vae">,
  latents: LatentShape,
  options: VaeOptions = {},
  tile?: Sides,
): Promise<Plan> {
  const graph = tile
    ? decodeTileGraph(vae.weights, vae.config, latents, tile, dtype, options)
    : decodeGraph(vae.weights, vae.config, latents, dtype, options);
  return compile(device, { ...graph }, { label: "decode", weights, signal });
}

/** The text as the UNet sees it: [halves, N, C], or all encodings where the steps choose. */
function contextOf({ weights, config }: Checkpoint["text"], sizes: RunSizes, dtype: DType): Tensor {
  const { repeats, tokens, chunks: parts, clipSkip: skip } = sizes;
  const count = parts ? parts.encodings * parts.chunks : repeats;
  const ids = input("ids", [count, tokens], "i32");
  const hidden = textEncoder(weights, config, ids, dtype, { skip });
  if (!parts) return hidden;
  const encodings = parts.weighted
    ? conditionText(
        hidden,
        input("weights", [count, tokens], "f32"),
        input("shares", [count, count], "f32"),
        parts.chunks,
      )
    : joinChunks(hidden, parts.chunks);
  const { halves } = parts;
  if (!halves) return encodings;
  const inOrder = halves.every((row, i) => row === i);
  if (inOrder && halves.length === parts.encodings) return encodings;
  return concat(
    halves.map((row) => slice(encodings, 0, row, row + 1)),
    0,
  );
}

/** [halves, N, C] -> [halves · batch, N, C]: every picture of a half sees the same prompt. */
function perPicture(context: Tensor, batch: number): Tensor {
  if (batch === 1) return context;
  const [halves, tokens, channels] = context.shape as [number, number, number];
  const each = expand(reshape(context, [halves, 1, tokens, channels]), [
    halves,
    batch,
    tokens,
    channels,
  ]);
  return reshape(each, [halves * batch, tokens, channels]);
}
