import assert from "node:assert/strict";
import { cpSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { GenerateRequest, RgbaImage } from "../../model/request.ts";
import { withLatents } from "../../tools/verify/latents-spy.ts";
import { copyCheckpoint, removeCopies } from "../support/checkpoint-copy.ts";
import { adapters } from "../support/devices.ts";
import { checkpointPath, type GoldenTensors, openGolden, rmsError } from "../support/golden.ts";
import { distance, type Stride, samplesAt } from "../support/pictures.ts";
import {
  readTaskGolden,
  removeTaskFolders,
  TASK_MODELS,
  type TaskModel,
  taskFolder,
} from "../support/task-folder.ts";

/** rms(Δ) / rms(expected) of final latents: PyTorch's own runs differ by about 2e-6. */
const LATENTS_TOLERANCE = 1e-5;

/** Pictures: the share of samples within one level of 255, and the largest difference. */
const WITHIN_ONE = 0.99;
const WORST = 3;

/** dB between a picture in f16 and the same one in f32. */
const HALF_PSNR = 40;

/** Both configurations of every task (test/README.md), and tiles. */
const IN_HALVES = [
  ...["img2img-two", "img2img-pndm", "inpaint-wide", "inpaint-ddim", "depth-own", "depth-b"],
  ...["x4-own", "x4-pndm", "x4-tiled", "x4-tiled-vae"],
];

/** One entry of golden/tasks/pictures.json; see test/fixtures/README.md. */
interface TaskCase {
  readonly name: string;
  readonly model: TaskModel | "tiny-v" | "tiny-eps";
  readonly prompt: string;
  readonly given: Readonly<Partial<Record<"image" | "mask" | "depth", string>>>;
  readonly size: readonly [width: number, height: number] | null;
  readonly strength: number | null;
  readonly noiseLevel: number | null;
  readonly scheduler: string | null;
  readonly steps: number;
  readonly guidance: number;
  readonly seed: number;
  readonly n: number;
  readonly turbo: boolean;
  readonly estimated: boolean;
  readonly picture: boolean;
  readonly stride?: Stride;
  readonly tile?: number;
  readonly tileOverlap?: number;
  readonly vaeTiling?: boolean;
}

describe("image-to-image, inpainting, depth and upscaling against diffusers", () => {
  const cases = readTaskGolden<TaskCase[]>("pictures.json");
  let device: Device;
  let golden: GoldenTensors;
  const opened = new Map<string, Promise<StableDiffusion>>();
  before(async () => {
    device = (await adapters())[0]!.device;
    golden = await openGolden("tasks", ["pictures.safetensors"]);
  });
  after(async () => {
    for (const pipeline of opened.values()) await (await pipeline)[Symbol.asyncDispose]();
    removeTaskFolders();
    removeCopies();
  });

  const open = (each: TaskCase, dtype: "f32" | "f16") => {
    const key = `${each.model} ${each.turbo} ${each.estimated} ${dtype}`;
    const load = async () =>
      StableDiffusion.fromPretrained(await folderOf(each), { device, dtype });
    const pipeline = opened.get(key) ?? load();
    opened.set(key, pipeline);
    return pipeline;
  };
  const tensor = (name: string) => golden("pictures.safetensors", name);
  const requestOf = (each: TaskCase): GenerateRequest => {
    const { prompt, steps, guidance, seed, n, given, size } = each;
    return {
      ...{ prompt, steps, guidanceScale: guidance, seed, numImages: n },
      scheduler: each.scheduler ?? undefined,
      strength: each.strength ?? undefined,
      noiseLevel: each.noiseLevel ?? undefined,
      ...{ tile: each.tile, tileOverlap: each.tileOverlap, vaeTiling: each.vaeTiling },
      ...(size && { width: size[0], height: size[1] }),
      ...Object.fromEntries(
        Object.entries(given).map(([name, of]) => {
          const { data, shape } = tensor(of);
          return [name, { width: shape[1], height: shape[0], data }];
        }),
      ),
    };
  };

  for (const each of cases) {
    it(`${each.name}: the final latents${each.picture ? ", and the picture" : ""}`, async () => {
      // The VAE's tiles change nothing before it.
      const expected = tensor(`${each.name.replace("-vae", "")}/latents`);
      const [batch, channels, height, width] = expected.shape as [number, number, number, number];
      const shape = { batch, channels, height, width };
      const pipeline = await open(each, "f32");
      const run = async () => {
        const output = each.picture ? "image" : "latent";
        return pipeline.generate({ ...requestOf(each), output });
      };
      // A picture's latents are read by the way: plans for latents alone would be compiled anew.
      const { latents: seen, result } = await withLatents(device, shape, run);
      const latents = result.latents?.data ?? seen.at(-1)!;
      const error = rmsError(latents, expected.data);
      assert.ok(error <= LATENTS_TOLERANCE, `the rms error is ${error}`);
      if (!each.picture) return;
      const found = distance(seenOf(each, result.images), tensor(`${each.name}/pictures`).data);
      assert.ok(found.withinOne >= WITHIN_ONE, `${100 * found.withinOne} % are within a level`);
      assert.ok(found.worst <= WORST, `a sample is off by ${found.worst}`);
    });
  }

  for (const each of cases.filter(({ name }) => IN_HALVES.includes(name))) {
    it(`${each.name} in f16 is at least ${HALF_PSNR} dB from f32`, async () => {
      const { images } = await (await open(each, "f16")).generate(requestOf(each));
      const { psnr } = distance(seenOf(each, images), tensor(`${each.name}/pictures`).data);
      assert.ok(psnr >= HALF_PSNR && psnr < 99, `${psnr} dB`);
    });
  }
});

function seenOf({ stride = [1, 1] }: TaskCase, images: readonly RgbaImage[]): number[] {
  return samplesAt(images, stride);
}

async function folderOf({ model, turbo, estimated }: TaskCase): Promise<string> {
  if (TASK_MODELS.some((name) => name === model)) return taskFolder(model as TaskModel, estimated);
  const name = model as "tiny-v" | "tiny-eps";
  return turbo ? copyCheckpoint(name, trailingEuler) : checkpointPath(name);
}

/** The scheduler of SD-Turbo. */
function trailingEuler(folder: string): void {
  const golden = new URL("../fixtures/golden/tiny-eps/scheduler-trailing/", import.meta.url);
  cpSync(golden.pathname, join(folder, "scheduler"), { recursive: true });
  const index = join(folder, "model_index.json");
  const euler = ["diffusers", "EulerDiscreteScheduler"];
  writeFileSync(index, JSON.stringify({ ...indexOf(index), scheduler: euler }));
}

function indexOf(path: string): Record<string, unknown> {
  return JSON.parse(readFileSync(path, "utf8"));
}
