/** Distances from PyTorch on the tiny checkpoints of test/fixtures: stages, final latents, pictures. */
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { type Device, type DType, WeightCache } from "../../engine/index.ts";
import { openFolder } from "../../model/folder.node.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { GenerateRequest, RgbaImage } from "../../model/request.ts";
import { levels, maxError, psnr, rmsError } from "../../tools/verify/compare.ts";
import { type Golden, readGolden } from "../../tools/verify/golden.ts";
import {
  type CompiledStage,
  compileStage,
  destroyStage,
  runStage,
  type StageOptions,
} from "../../tools/verify/networks.ts";

const FIXTURES = fileURLToPath(new URL("../../test/fixtures/", import.meta.url));
export const CHECKPOINTS = ["tiny-v", "tiny-eps"] as const;
type Checkpoint = (typeof CHECKPOINTS)[number];

export const checkpointPath = (checkpoint: Checkpoint) => `${FIXTURES}${checkpoint}`;
const goldenPath = (checkpoint: Checkpoint, file: string) =>
  `${FIXTURES}golden/${checkpoint}/${file}`;

/** Whole networks in blocks.json; the VAE's encoder has no counterpart yet. */
const NETWORKS = {
  CLIPTextModel: "text",
  UNet2DConditionModel: "unet",
  AutoencoderKL: "vae",
} as const;

interface BlockEntry {
  readonly name: string;
  readonly class: string;
  readonly module: string;
  readonly file: string;
  readonly inputs: Readonly<Record<string, string | number>>;
  readonly output: string;
}

/** max|Δ| / max|reference| of every network on every input that there is, by "checkpoint case". */
export async function stageErrors(device: Device, dtype: DType): Promise<Map<string, number>> {
  const errors = new Map<string, number>();
  for (const checkpoint of CHECKPOINTS) {
    const blocks: BlockEntry[] = JSON.parse(
      readFileSync(goldenPath(checkpoint, "blocks.json"), "utf8"),
    );
    const whole = blocks.filter((entry) => entry.module === "" && !("x" in entry.inputs));
    await using folder = await openFolder(checkpointPath(checkpoint));
    const weights = new WeightCache(device);
    for (const entry of whole) {
      const golden = await readGolden(goldenPath(checkpoint, entry.file));
      const compiled = await compileEntry(entry, folder, golden, { device, weights, dtype });
      const { data } = await runStage(compiled);
      errors.set(`${checkpoint} ${entry.name}`, maxError(data, golden(entry.output).data));
      await destroyStage(compiled);
    }
    await weights.destroy();
  }
  return errors;
}

function compileEntry(
  entry: BlockEntry,
  folder: Awaited<ReturnType<typeof openFolder>>,
  golden: (name: string) => Golden,
  options: StageOptions,
): Promise<CompiledStage> {
  const at = (argument: string) => golden(entry.inputs[argument] as string);
  switch (NETWORKS[entry.class as keyof typeof NETWORKS]) {
    case "text":
      return compileStage.text(folder, { ids: at("input_ids") }, options);
    case "unet": {
      const timestep = entry.inputs.timestep as number;
      const inputs = { sample: at("sample"), timestep, context: at("encoder_hidden_states") };
      return compileStage.unet(folder, inputs, options);
    }
    case "vae":
      return compileStage.vae(folder, { z: at("z") }, options);
  }
}

export interface PictureErrors {
  readonly name: string;
  readonly latentsRms: number;
  readonly worst: number;
  readonly within1: number;
  /** f16 against f32, dB. */
  readonly halfPsnr: number;
  /** Whether the same request gave the same bytes again, in f32 and f16. */
  readonly repeats: boolean;
  /** Read-backs of the one picture. */
  readonly readBacks: number;
}

/** One of each solver and of each kind of prediction, one of an odd size. The tests take every case. */
const CASES: Readonly<Record<Checkpoint, readonly string[]>> = {
  "tiny-v": ["own", "tall-odd"],
  "tiny-eps": ["own", "euler"],
};

interface PictureCase {
  readonly name: string;
  readonly prompt: string;
  readonly negative: string;
  readonly seed: number;
  readonly steps: number;
  readonly guidance: number;
  readonly scheduler: string | null;
  readonly width: number;
  readonly height: number;
}

export async function pictureErrors(device: Device): Promise<PictureErrors[]> {
  const found: PictureErrors[] = [];
  for (const checkpoint of CHECKPOINTS) {
    const all: PictureCase[] = JSON.parse(
      readFileSync(goldenPath(checkpoint, "pictures.json"), "utf8"),
    );
    const golden = await readGolden(goldenPath(checkpoint, "pictures.safetensors"));
    const path = checkpointPath(checkpoint);
    await using single = await StableDiffusion.fromPretrained(path, { device, dtype: "f32" });
    await using half = await StableDiffusion.fromPretrained(path, { device, dtype: "f16" });
    for (const picture of all.filter(({ name }) => CASES[checkpoint].includes(name))) {
      const errors = await pictureError(device, picture, single, half, golden);
      found.push({ ...errors, name: `${checkpoint} ${picture.name}` });
    }
  }
  return found;
}

async function pictureError(
  device: Device,
  picture: PictureCase,
  single: StableDiffusion,
  half: StableDiffusion,
  golden: (name: string) => Golden,
): Promise<Omit<PictureErrors, "name">> {
  const request = requestOf(picture);
  const { latents } = await single.generate({ ...request, output: "latent" });
  const { value: painted, readBacks } = await countReadBacks(device, () =>
    samples(single, request),
  );
  const halves = await samples(half, request);
  const again = [await samples(single, request), await samples(half, request)];
  const expected = golden(`${picture.name}/latents`);
  return {
    latentsRms: rmsError(channelsLast(latents!.data, latents!.shape), expected.data),
    ...levels(painted, golden(`${picture.name}/pictures`).data),
    halfPsnr: psnr(halves, painted),
    repeats: same(again[0]!, painted) && same(again[1]!, halves),
    readBacks,
  };
}

function requestOf(picture: PictureCase): GenerateRequest {
  return {
    prompt: picture.prompt,
    negativePrompt: picture.negative,
    seed: picture.seed,
    steps: picture.steps,
    guidanceScale: picture.guidance,
    scheduler: picture.scheduler ?? undefined,
    width: picture.width,
    height: picture.height,
  };
}

/** RGB of all pictures, one after another. */
async function samples(pipeline: StableDiffusion, request: GenerateRequest): Promise<number[]> {
  const { images } = await pipeline.generate(request);
  return images.flatMap(({ data }: RgbaImage) => [...data].filter((_, i) => i % 4 < 3));
}

function same(a: readonly number[], b: readonly number[]): boolean {
  return a.length === b.length && a.every((value, i) => value === b[i]);
}

function channelsLast(data: Float32Array, shape: readonly number[]): Float32Array {
  const [, C, H, W] = shape as [number, number, number, number];
  const area = H * W;
  return data.map((_, i) => {
    const [c, pixel] = [i % C, Math.floor(i / C)];
    const b = Math.floor(pixel / area);
    return data[(b * C + c) * area + (pixel % area)]!;
  });
}

/** Counts buffers that the device makes for reading back. */
export async function countReadBacks<T>(
  { gpu }: Device,
  work: () => Promise<T>,
): Promise<{ value: T; readBacks: number }> {
  const { createBuffer } = gpu;
  let readBacks = 0;
  gpu.createBuffer = (descriptor: GPUBufferDescriptor) => {
    if (descriptor.usage & GPUBufferUsage.MAP_READ) readBacks++;
    return createBuffer.call(gpu, descriptor);
  };
  try {
    return { value: await work(), readBacks };
  } finally {
    gpu.createBuffer = createBuffer;
  }
}

/** Within how many levels of f32 on all limits a picture is that asks for the default limits only. */
export async function minimalDevicePicture(device: Device, minimal: Device): Promise<number> {
  const path = checkpointPath("tiny-v");
  const request = { prompt: "a red circle", seed: 1, steps: 2, width: 64, height: 64 };
  await using full = await StableDiffusion.fromPretrained(path, { device, dtype: "f32" });
  await using small = await StableDiffusion.fromPretrained(path, { device: minimal, dtype: "f32" });
  return levels(await samples(small, request), await samples(full, request)).worst;
}
