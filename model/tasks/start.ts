/**
 * Where a run starts, and what the UNet sees beside the latents, task by task. Noise is drawn in the order of
 * diffusers' pipelines, so that a seed gives the picture that it gives there.
 */
import type { Generator } from "../../engine/random.ts";
import type { LatentShape } from "../denoise.ts";
import type { DepthLatents } from "../depth/index.ts";
import { channelsLast } from "../encode.ts";
import { prepareInpaint } from "../image/mask.ts";
import { type HostTensor, prepareImage, UPSCALE } from "../image/prepare.ts";
import type { DepthMap, GenerateRequest, ResolvedRequest } from "../request.ts";
import { noisy } from "./noise-level.ts";
import type { Task } from "./task.ts";

/** What a run has at hand. */
export interface Run {
  readonly request: Pick<GenerateRequest, "image" | "mask" | "depth">;
  readonly resolved: ResolvedRequest;
  /** Of all pictures: [B, C, h, w]. */
  readonly latents: LatentShape;
  readonly random: Pick<Generator, "randn">;
  /** The scale of a noise that is all there is, and the shares of picture and noise where there is one. */
  readonly initNoiseSigma: number;
  readonly start: { readonly image: number; readonly noise: number };
  /** A sample of the encoder's distribution, scaled: [C, h, w]. `noise` likewise. */
  readonly encode: (picture: HostTensor, noise: Float32Array) => Promise<Float32Array>;
  /** Depth of a picture at latent size, estimated where none is given. */
  readonly depth: (given: DepthMap | undefined) => Promise<DepthLatents>;
  /** √ᾱ and √(1 − ᾱ) of the x4 upscaler's noise level. */
  readonly noising: (level: number) => { readonly image: number; readonly noise: number };
}

export interface Start {
  /** [B, C, h, w] as PyTorch lays it out. */
  readonly latents: Float32Array;
  /** What stands beside a picture's latents, in both halves of guidance: planes [channels, h, w], for all or for each. */
  readonly beside?: readonly Float32Array[];
  /** The class: the noise level. */
  readonly label?: number;
  readonly warnings: readonly string[];
}

/**
 * Draws, encodes and mixes: all pictures from one stream of noise, or each from its own as if it ran alone.
 * Throws IMAGE_…, and what the plans throw.
 */
export async function startOf(
  task: Task,
  run: Omit<Run, "random">,
  streams: readonly Run["random"][],
): Promise<Start> {
  const batch = run.latents.batch / streams.length;
  const starts: Start[] = [];
  // One after the other: they share the encoder's plan.
  for (const random of streams)
    starts.push(await STARTS[task]({ ...run, random, latents: { ...run.latents, batch } }));
  const beside = starts.flatMap((start) => start.beside ?? []);
  const latents = starts.map((start) => start.latents).reduce(joined);
  return { ...starts[0]!, latents, ...(beside.length > 0 && { beside }) };
}

const STARTS: Readonly<Record<Task, (run: Run) => Promise<Start>>> = {
  "text-to-image": async (run) => ({ latents: fromNoise(run), warnings: [] }),
  "image-to-image": async (run) => ({
    latents: await fromImage(run, pictureOf(run)),
    warnings: [],
  }),
  "depth-to-image": depthToImage,
  inpainting,
  upscaling,
};

function pictureOf({ request, resolved: { width, height } }: Run): HostTensor {
  return prepareImage(request.image!, { width, height });
}

function fromNoise({ random, latents, initNoiseSigma }: Run): Float32Array {
  return random.randn(countOf(latents)).map((value) => initNoiseSigma * value);
}

/** A sample of the picture first, then the noise of all pictures. */
async function fromImage(run: Run, picture: HostTensor): Promise<Float32Array> {
  const { random, latents, start } = run;
  const image = await encoded(run, picture);
  const noise = random.randn(countOf(latents));
  return noise.map((value, i) => start.image * image[i % image.length]! + start.noise * value);
}

/** [C, h, w]. */
function encoded({ random, latents, encode }: Run, picture: HostTensor): Promise<Float32Array> {
  return encode(picture, random.randn(countOf(latents) / latents.batch));
}

async function depthToImage(run: Run): Promise<Start> {
  const picture = pictureOf(run);
  const { data, warning } = await run.depth(run.request.depth);
  const latents = await fromImage(run, picture);
  return { latents, beside: [data], warnings: warning ? [warning] : [] };
}

/** Below strength 1 the picture is a start as well; the masked picture's sample comes last. */
async function inpainting(run: Run): Promise<Start> {
  const { request, resolved } = run;
  const { width, height, maskMode, strength } = resolved;
  const inputs = prepareInpaint(request.image!, request.mask!, { width, height, maskMode });
  const latents = strength === 1 ? fromNoise(run) : await fromImage(run, inputs.image);
  const masked = await encoded(run, inputs.maskedImage);
  const beside = [joined(inputs.latentMask.data, masked)];
  return { latents, beside, warnings: inputs.warnings };
}

/** The small picture's noise first. Its pixels are the grid of the latents. */
async function upscaling(run: Run): Promise<Start> {
  const { random, request, resolved, latents } = run;
  const small = prepareImage(request.image!, UPSCALE);
  const label = resolved.noiseLevel!;
  const noise = random.randn(3 * latents.height * latents.width);
  const beside = noisy(small, noise, run.noising(label));
  return { latents: fromNoise(run), beside: [beside], label, warnings: [] };
}

/** Planes beside the latents, for all pictures or for each, as the step plan takes them: [repeats·B, h, w, channels]. */
export function besideOf(
  planes: readonly Float32Array[],
  latents: LatentShape,
  repeats: number,
): Float32Array {
  const size = planes[0]!.length;
  const one = { ...latents, batch: 1, channels: size / (latents.height * latents.width) };
  const each = planes.map((picture) => channelsLast(picture, one));
  const all = new Float32Array(size * repeats * latents.batch);
  for (let i = 0; i * size < all.length; i++) all.set(each[i % each.length]!, i * size);
  return all;
}

function joined(a: Float32Array, b: Float32Array): Float32Array {
  const both = new Float32Array(a.length + b.length);
  both.set(a);
  both.set(b, a.length);
  return both;
}

function countOf({ batch, channels, height, width }: LatentShape): number {
  return batch * channels * height * width;
}
