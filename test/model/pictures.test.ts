import assert from "node:assert/strict";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import { removeCopies, withSchedulerFile } from "../support/checkpoint-copy.ts";
import { adapters } from "../support/devices.ts";
import {
  CHECKPOINTS,
  type CheckpointName,
  checkpointPath,
  type GoldenTensors,
  openGolden,
  readGolden,
  rmsError,
} from "../support/golden.ts";
import { distance, type PictureCase, requestOf, samples } from "../support/pictures.ts";

/** rms(Δ) / rms(expected) of final latents: PyTorch's own runs differ by about 2e-6. */
const LATENTS_TOLERANCE = 1e-5;

/** Pictures: the share of samples within one level of 255, and the largest difference. */
const WITHIN_ONE = 0.99;
const WORST = 3;

/** dB between a picture in f16 and the same one in f32. */
const HALF_PSNR = 40;

/** Every solver, guidance on and off, an odd size, two pictures at once. */
const IN_HALVES = ["own", "pndm", "tall-odd", "two-no-guidance"];

/** Plans are kept from run to run, so cases of one size go together. */
function bySize(a: PictureCase, b: PictureCase): number {
  const key = ({ schedulerFile, width, height, n, guidance, samplerCalls }: PictureCase) =>
    JSON.stringify([schedulerFile ?? "", width, height, n, guidance > 1, samplerCalls]);
  return key(a) < key(b) ? -1 : key(a) > key(b) ? 1 : 0;
}

/** Pipelines by scheduler file and dtype, opened when the first case wants one. */
function pipelines(checkpoint: CheckpointName, device: () => Device) {
  const opened = new Map<string, Promise<StableDiffusion>>();
  return {
    open(schedulerFile: string | null, dtype: "f32" | "f16"): Promise<StableDiffusion> {
      const key = `${schedulerFile} ${dtype}`;
      const folder = () =>
        schedulerFile === null
          ? checkpointPath(checkpoint)
          : withSchedulerFile(checkpoint, schedulerFile);
      const pipeline =
        opened.get(key) ?? StableDiffusion.fromPretrained(folder(), { device: device(), dtype });
      opened.set(key, pipeline);
      return pipeline;
    },
    async close(): Promise<void> {
      for (const pipeline of opened.values()) await (await pipeline)[Symbol.asyncDispose]();
    },
  };
}

for (const checkpoint of CHECKPOINTS) {
  describe(`pictures of ${checkpoint} against diffusers`, () => {
    const cases = readGolden<PictureCase[]>(checkpoint, "pictures.json").sort(bySize);
    let device: Device;
    let golden: GoldenTensors;
    const { open, close } = pipelines(checkpoint, () => device);
    before(async () => {
      device = (await adapters())[0]!.device;
      golden = await openGolden(checkpoint, ["pictures.safetensors", "faults.safetensors"]);
    });
    after(async () => {
      await close();
      removeCopies();
    });
    const expected = (name: string) => golden("pictures.safetensors", name).data;
    const latentsOf = async (picture: PictureCase) => {
      const pipeline = await open(picture.schedulerFile, "f32");
      const { latents } = await pipeline.generate({ ...requestOf(picture), output: "latent" });
      return latents!;
    };
    const paint = async (picture: PictureCase, dtype: "f32" | "f16" = "f32") => {
      const pipeline = await open(picture.schedulerFile, dtype);
      return samples((await pipeline.generate(requestOf(picture))).images);
    };

    for (const picture of cases) {
      it(`${picture.name}: the latents, and the picture`, async () => {
        const { data, shape } = await latentsOf(picture);
        const { n, height, width } = picture;
        assert.deepEqual(shape, [n, 4, height / 8, width / 8]);
        const error = rmsError(data, expected(`${picture.name}/latents`));
        assert.ok(error <= LATENTS_TOLERANCE, `the latents' rms error is ${error}`);
        const found = distance(await paint(picture), expected(`${picture.name}/pictures`));
        assert.ok(found.withinOne >= WITHIN_ONE, `${100 * found.withinOne} % are within a level`);
        assert.ok(found.worst <= WORST, `a sample is off by ${found.worst}`);
      });
    }

    for (const picture of cases.filter(({ name }) => IN_HALVES.includes(name))) {
      it(`${picture.name} in f16 is at least ${HALF_PSNR} dB from f32, and not the same`, async () => {
        const { psnr } = distance(await paint(picture, "f16"), await paint(picture));
        assert.ok(psnr >= HALF_PSNR && psnr < 99, `${psnr} dB`);
      });
    }

    it("gives the same bytes for the same request", async () => {
      const [own, other] = ["own", "own-other-prompt"].map(
        (name) => cases.find((c) => c.name === name)!,
      );
      for (const dtype of ["f32", "f16"] as const) {
        const first = await paint(own!, dtype);
        await paint(other!, dtype);
        assert.deepEqual(await paint(own!, dtype), first);
      }
    });

    it("follows the prompt: another one moves the picture", async () => {
      const { worst, withinOne } = distance(
        expected("own/pictures"),
        expected("own-other-prompt/pictures"),
      );
      assert.ok(worst > WORST && withinOne < WITHIN_ONE);
    });

    let own: ReturnType<typeof latentsOf> | undefined;
    const faults = readGolden<{ fault: string; what: string; faulty: string }[]>(
      checkpoint,
      "faults.json",
    );
    for (const { fault, faulty } of faults.filter(({ what }) => what === "latents")) {
      it(`${fault} would be rejected`, async () => {
        own ??= latentsOf(cases.find(({ name }) => name === "own")!);
        const wrong = golden("faults.safetensors", faulty).data;
        const error = rmsError(wrong, (await own).data);
        assert.ok(error > LATENTS_TOLERANCE, `${error} would pass`);
      });
    }
  });
}
