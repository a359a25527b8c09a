/** Our side of each stage, on the inputs that diffusers had: so errors do not add up from stage to stage. */
import {
  add,
  cast,
  type Device,
  type DType,
  evaluate,
  type Plan,
  tensor,
  WeightCache,
} from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import type { Checkpoint } from "../../model/checkpoint.ts";
import { latentsOf } from "../../model/denoise.ts";
import { compileDepth, depthPixels, inputMultiple } from "../../model/depth/index.ts";
import type { ModelFolder } from "../../model/folder.node.ts";
import type { RgbImage } from "../../model/image/image.ts";
import { prepareInpaint } from "../../model/image/mask.ts";
import { prepareImage, UPSCALE } from "../../model/image/prepare.ts";
import { resize } from "../../model/image/resize.ts";
import { noising, noisy } from "../../model/tasks/noise-level.ts";
import { classEmbedding, timeEmbedding, timestepEmbedding } from "../../model/unet.ts";
import { type Case, type Dump, tensorOf } from "./dump.ts";
import type { Golden } from "./golden.ts";
import type { Comparison } from "./judge.ts";
import {
  type CompiledStage,
  compileEncoder,
  compileStage,
  destroyStage,
  runStage,
  writeTimestep,
} from "./networks.ts";
import { paintedBoth } from "./picture.ts";
import { samplerSteps } from "./sampler.ts";

/** What a stage runs on. */
export interface Bench {
  readonly path: string;
  readonly folder: ModelFolder;
  readonly checkpoint: Checkpoint;
  readonly device: Device;
  readonly dtype: "f16" | "f32";
  /** The weights of a part of the model; those of the part before it are freed. */
  readonly weights: (part: string) => Promise<WeightCache>;
  /** As in `LoadOptions`. */
  readonly options: { readonly config?: string | undefined; readonly prediction?: "eps" | "v" };
  readonly dump: Dump;
}

/** What came out, and the size of the plan that made it. */
export interface Outcome {
  readonly comparisons: readonly Comparison[];
  readonly dispatches?: number;
  readonly activationBytes?: number;
  /** Bytes on the GPU with everything in place. */
  readonly gpuBytes?: number;
  /** Milliseconds of the run alone, without loading and compiling. */
  readonly runMs?: number;
}

type Run = (bench: Bench, each: Case) => Promise<Outcome>;

export const RUNS: Readonly<Record<string, Run>> = {
  async tokens({ checkpoint, dump }, each) {
    const { data, shape } = tensorOf(dump, each, "ids");
    const prompts = each.prompts as readonly string[];
    const actual = prompts.flatMap((prompt) => [...checkpoint.tokenizer.encode(prompt).ids]);
    return one({ name: each.name, kind: "exact", shape, actual, expected: data });
  },

  async text(bench, each) {
    const inputs = { ids: tensorOf(bench.dump, each, "ids"), skip: each.skip as number };
    return network(bench, each, "hidden", async (options) =>
      compileStage.text(bench.folder, inputs, options),
    );
  },

  async unet(bench, each) {
    const { device, dtype, dump, folder } = bench;
    const timesteps = each.timesteps as readonly number[];
    const inputs = {
      sample: tensorOf(dump, each, "sample"),
      context: tensorOf(dump, each, "context"),
      timestep: timesteps[0]!,
      label: each.label as number | undefined,
    };
    const weights = await bench.weights("unet");
    const compiled = await compileStage.unet(folder, inputs, { device, weights, dtype });
    const outputs = (each.outputs as readonly string[]).map(dump.tensor);
    return measured(bench, compiled, async () => {
      const comparisons: Comparison[] = [];
      for (const [i, timestep] of timesteps.entries()) {
        writeTimestep(compiled, folder, timestep);
        const { data } = await runStage(compiled);
        const name = `${each.name}, timestep ${Number(timestep.toPrecision(6))}`;
        comparisons.push(compared(name, "network", data, outputs[i]!));
      }
      return comparisons;
    });
  },

  async scheduler(bench, each) {
    return { comparisons: await samplerSteps(bench, each) };
  },

  async encode(bench, each) {
    const picture = tensorOf(bench.dump, each, "picture");
    return network(bench, each, "moments", async (options) =>
      compileEncoder(bench.folder, picture, options),
    );
  },

  async decode(bench, each) {
    const inputs = { z: tensorOf(bench.dump, each, "z") };
    return network(bench, each, "picture", async (options) =>
      compileStage.vae(bench.folder, inputs, options),
    );
  },

  async inpaint({ dump }, each) {
    const size = { width: each.width as number, height: each.height as number };
    const made = prepareInpaint(imageOf(dump, each, "image"), imageOf(dump, each, "mask"), size);
    const mask = tensorOf(dump, each, "latentMask");
    const masked = tensorOf(dump, each, "masked");
    return {
      comparisons: [
        compared("mask at latent size", "exact", made.latentMask.data, mask),
        compared("masked picture", "host", made.maskedImage.data, masked),
      ],
    };
  },

  async "depth-pixels"({ checkpoint, dump }, each) {
    const { config, processor } = checkpoint.estimator!;
    const image = imageOf(dump, each, "image");
    const made = depthPixels(image, processor, inputMultiple(config), resize);
    return one(compared(each.name, "host", made.data, tensorOf(dump, each, "pixels")));
  },

  async depth(bench, each) {
    const { device, dtype, checkpoint } = bench;
    const pixels = tensorOf(bench.dump, each, "pixels");
    const [, height, width] = pixels.shape as [number, number, number];
    const weights = await bench.weights("depth");
    const setting = { device, dtype, weights, signal: new AbortController().signal };
    const latents = each.latents as [number, number];
    const plan = await compileDepth(setting, checkpoint.estimator!, {
      from: [height, width],
      latents,
    });
    plan.write("pixels", pixels.data);
    return measured(bench, { plans: [plan] }, async () => {
      plan.run();
      const map = await plan.read("map");
      return [compared(each.name, "network", map, tensorOf(bench.dump, each, "map"))];
    });
  },

  async "noise-level"({ checkpoint, dump }, each) {
    const small = prepareImage(imageOf(dump, each, "image"), UPSCALE);
    const noise = planes(tensorOf(dump, each, "noise"));
    const share = noising(checkpoint.lowResScheduler, each.level as number);
    const expected = tensorOf(dump, each, "noisy");
    const actual = noisy(small, noise, share);
    return one({ ...compared(each.name, "host", actual, expected), expected: planes(expected) });
  },

  async embedding({ device, dtype, folder, dump }, each) {
    const w = Weights.of("unet", await folder.unet.tensors());
    const sinusoids = timestepEmbedding([each.timestep as number], folder.unet.config);
    const data = await evaluate(device, () => {
      const x = cast(tensor(sinusoids, [1, sinusoids.length]), dtype);
      const time = timeEmbedding(w.at("time_embedding"), x);
      const label = tensor([each.label as number], [1], "i32");
      return cast(add(time, classEmbedding(w.at("class_embedding"), label, time)), "f32");
    });
    return one(compared(each.name, "network", data, tensorOf(dump, each, "embedding")));
  },

  picture: paintedBoth,
};

interface Options {
  readonly device: Device;
  readonly weights: WeightCache;
  readonly dtype: DType;
}

/** A network on its inputs, from loading to the result. */
async function network(
  bench: Bench,
  each: Case,
  output: string,
  compile: (options: Options) => Promise<CompiledStage>,
): Promise<Outcome> {
  const { device, dtype } = bench;
  // The VAE's halves are of one part, and share what is loaded.
  const weights = await bench.weights(PARTS[each.stage] ?? each.stage);
  const compiled = await compile({ device, dtype, weights });
  return measured(bench, compiled, async () => {
    const { data } = await runStage(compiled);
    return [compared(each.name, "network", data, tensorOf(bench.dump, each, output))];
  });
}

const PARTS: Readonly<Record<string, string>> = { encode: "vae", decode: "vae" };

async function measured(
  { device }: Bench,
  compiled: CompiledStage,
  run: () => Promise<readonly Comparison[]>,
): Promise<Outcome> {
  try {
    const start = performance.now();
    const comparisons = await run();
    return {
      comparisons,
      runMs: (performance.now() - start) / comparisons.length,
      gpuBytes: device.allocatedBytes,
      dispatches: count(compiled.plans),
      activationBytes: compiled.plans.reduce((sum, plan) => sum + plan.ownBytes, 0),
    };
  } finally {
    await destroyStage(compiled);
  }
}

/** Of the last plan: the one that runs in every step. */
function count(plans: readonly Plan[]): number {
  return plans.at(-1)!.program.dispatches.length;
}

function one(comparison: Comparison): Outcome {
  return { comparisons: [comparison] };
}

function compared(
  name: string,
  kind: Comparison["kind"],
  actual: ArrayLike<number>,
  { data: expected, shape }: Golden,
): Comparison {
  return { name, kind, shape, actual, expected };
}

/** [1, h, w, C] to [C, h, w]. */
export function planes({ data, shape }: Golden): Float32Array {
  const [batch, height, width, channels] = shape as [number, number, number, number];
  return latentsOf(data, { batch, height, width, channels });
}

/** Bytes [H, W, 3] or [H, W] as a picture. */
export function imageOf(dump: Dump, each: Case, key: string): RgbImage {
  const { data, shape } = tensorOf(dump, each, key);
  const [height, width] = shape as [number, number];
  return { width, height, data: data as Uint8Array };
}

/** One cache at a time, for the part of the model that is at work. */
export function weightsOfOnePart(device: Device) {
  let current: { part: string; cache: WeightCache } | undefined;
  const free = async () => {
    await current?.cache.destroy();
    current = undefined;
  };
  return {
    free,
    async of(part: string): Promise<WeightCache> {
      if (current?.part !== part) await free();
      current ??= { part, cache: new WeightCache(device) };
      return current.cache;
    },
  };
}
