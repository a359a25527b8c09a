/** Golden whole pictures, and how ours are compared with them. */
import assert from "node:assert/strict";
import type { GenerateRequest, RgbaImage } from "../../model/request.ts";

/** One entry of pictures.json; see test/fixtures/README.md. */
export interface PictureCase {
  readonly name: string;
  readonly prompt: string;
  readonly negative: string;
  readonly seed: number;
  readonly steps: number;
  readonly guidance: number;
  readonly scheduler: string | null;
  readonly schedulerFile: string | null;
  readonly width: number;
  readonly height: number;
  readonly n: number;
  readonly samplerCalls: number;
  readonly trace: number;
}

export function requestOf(picture: PictureCase): GenerateRequest {
  return {
    prompt: picture.prompt,
    negativePrompt: picture.negative,
    seed: picture.seed,
    steps: picture.steps,
    guidanceScale: picture.guidance,
    scheduler: picture.scheduler ?? undefined,
    width: picture.width,
    height: picture.height,
    numImages: picture.n,
  };
}

/** RGB of all pictures, one after another. */
export function samples(images: readonly RgbaImage[]): number[] {
  return images.flatMap(({ data }) => [...data].filter((_, i) => i % 4 < 3));
}

/** The same of every so many-th row and column, where a golden picture keeps no more. */
export function samplesAt(images: readonly RgbaImage[], [down, across]: Stride): number[] {
  return images.flatMap(({ width, data }) => {
    const kept = (_: number, i: number) => {
      const [x, y] = [(i >> 2) % width, Math.floor((i >> 2) / width)];
      return i % 4 < 3 && x % across === 0 && y % down === 0;
    };
    return [...data].filter(kept);
  });
}

export type Stride = readonly [down: number, across: number];

/** How far samples of 0..255 are apart. */
export interface Distance {
  /** The share of samples that are within one level. */
  readonly withinOne: number;
  readonly worst: number;
  /** dB. */
  readonly psnr: number;
}

export function distance(actual: ArrayLike<number>, expected: ArrayLike<number>): Distance {
  assert.equal(actual.length, expected.length, "number of samples");
  let within = 0;
  let worst = 0;
  let squares = 0;
  for (let i = 0; i < expected.length; i++) {
    const error = Math.abs(actual[i]! - expected[i]!);
    if (error <= 1) within++;
    worst = Math.max(worst, error);
    squares += error * error;
  }
  const psnr = 10 * Math.log10((255 * 255 * expected.length) / squares);
  return { withinOne: within / expected.length, worst, psnr };
}
