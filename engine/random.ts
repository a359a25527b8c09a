/** Noise for a seed: the generators that Stable Diffusion programs draw from, behind one interface. */
import { createCudaGenerator } from "./random/cuda.ts";
import type { Generator } from "./random/generator.ts";
import { createNumpyGenerator } from "./random/numpy.ts";
import { createTorchGenerator } from "./random/torch.ts";

export type { Generator } from "./random/generator.ts";
export { createTorchGenerator, type TorchGenerator, torchRandn } from "./random/torch.ts";

const GENERATORS = {
  torch: createTorchGenerator,
  cuda: createCudaGenerator,
  numpy: createNumpyGenerator,
} as const;

/** `torch`: PyTorch on a CPU. `cuda`: PyTorch on an NVIDIA GPU. `numpy`: RandomState. */
export type GeneratorKind = keyof typeof GENERATORS;

export const GENERATOR_KINDS = Object.keys(GENERATORS) as readonly GeneratorKind[];

/**
 * The generator of that kind, seeded. Throws BAD_REQUEST for a seed that is no integer, a number beyond
 * 2^53 (pass a bigint then), and for `numpy` one that is not in 0..2^32 - 1.
 */
export function createGenerator(kind: GeneratorKind, seed: number | bigint): Generator {
  return GENERATORS[kind](seed);
}

export interface NoiseOptions {
  /**
   * `batch` (default): one draw for all pictures, as diffusers does with one generator. `perImage`: picture
   * i from a generator of its own with seed + i, as A1111 and stable-diffusion.cpp do.
   */
  readonly seeds?: "batch" | "perImage" | undefined;
}

/** The first noise of `batch` pictures of `perPicture` values each. Throws where createGenerator does. */
export function drawNoise(
  kind: GeneratorKind,
  seed: number | bigint,
  batch: number,
  perPicture: number,
  { seeds = "batch" }: NoiseOptions = {},
): Float32Array {
  if (seeds === "batch") return createGenerator(kind, seed).randn(batch * perPicture);
  return joinGenerators(pictureGenerators(kind, seed, batch)).randn(batch * perPicture);
}

/** Generators of a picture each as one: a draw is their draws side by side, equal parts of it. */
export function joinGenerators(generators: readonly Generator[]): Generator {
  return {
    randn(count) {
      const each = count / generators.length;
      const noise = new Float32Array(count);
      generators.forEach((generator, i) => {
        noise.set(generator.randn(each), i * each);
      });
      return noise;
    },
  };
}

/** One generator a picture, with the seeds seed, seed + 1, … Throws where createGenerator does. */
export function pictureGenerators(
  kind: GeneratorKind,
  seed: number | bigint,
  batch: number,
): Generator[] {
  const seedOf = (i: number) => (typeof seed === "bigint" ? seed + BigInt(i) : seed + i);
  return Array.from({ length: batch }, (_, i) => createGenerator(kind, seedOf(i)));
}
