import assert from "node:assert/strict";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import { withLatents } from "../../tools/verify/latents-spy.ts";
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
const IN_HALVES = ["own", "ddim", "wide", "odd-pndm", "tall-odd", "two-no-guidance"];

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
    const closeLatents = (latents: Float32Array, name: string) => {
      const error = rmsError(latents, expected(name));
      assert.ok(error <= LATENTS_TOLERANCE, `${name}: the rms error is ${error}`);
    };
    const own = cases.find(({ name }) => name === "own")!;
    const paint = async (picture: PictureCase, dtype: "f32" | "f16") => {
      const pipeline = await open(picture.schedulerFile, dtype);
      return samples((await pipeline.generate(requestOf(picture))).images);
    };
    const seen = new Map<PictureCase, ReturnType<typeof watch>>();
    const watch = ({ n, height, width }: PictureCase, work: () => Promise<number[]>) =>
      withLatents(device, { batch: n, height: height / 8, width: width / 8, channels: 4 }, work);
    /** The picture in f32 with its latents, painted once. */
    const once = (picture: PictureCase) => {
      const run = seen.get(picture) ?? watch(picture, () => paint(picture, "f32"));
      seen.set(picture, run);
      return run;
    };

    for (const picture of cases) {
      it(`${picture.name}: the latents${picture.trace > 0 ? " after every step" : ""}, and the picture`, async () => {
        const { name, samplerCalls } = picture;
        const { latents, result } = await once(picture);
        assert.equal(latents.length, samplerCalls);
        for (let i = 0; i < picture.trace; i++) closeLatents(latents[i]!, `${name}/step.${i}`);
        closeLatents(latents.at(-1)!, `${name}/latents`);
        const found = distance(result, expected(`${name}/pictures`));
        assert.ok(found.withinOne >= WITHIN_ONE, `${100 * found.withinOne} % are within a level`);
        assert.ok(found.worst <= WORST, `a sample is off by ${found.worst}`);
      });
    }

    it("gives the final latents in place of the picture", async () => {
      const two = cases.find(({ name }) => name === "two")!;
      const pipeline = await open(two.schedulerFile, "f32");
      const { latents, images } = await pipeline.generate({ ...requestOf(two), output: "latent" });
      assert.deepEqual(images, []);
      assert.deepEqual(latents!.shape, [2, 4, 8, 8]);
      closeLatents(latents!.data, "two/latents");
    });

    for (const picture of cases.filter(({ name }) => IN_HALVES.includes(name))) {
      it(`${picture.name} in f16 is at least ${HALF_PSNR} dB from f32, and not the same`, async () => {
        const { psnr } = distance(await paint(picture, "f16"), (await once(picture)).result);
        assert.ok(psnr >= HALF_PSNR && psnr < 99, `${psnr} dB`);
      });
    }

    it("gives the same bytes for the same request", async () => {
      const { result } = await once(own);
      assert.deepEqual(await paint(own, "f32"), result);
      assert.deepEqual(await paint(own, "f16"), await paint(own, "f16"));
    });

    it("follows the prompt: another one moves the picture", async () => {
      const { worst, withinOne } = distance(
        expected("own/pictures"),
        expected("own-other-prompt/pictures"),
      );
      assert.ok(worst > WORST && withinOne < WITHIN_ONE);
    });

    it("is near enough to PyTorch to tell every planted fault", async () => {
      const faults = readGolden<{ fault: string; what: string; faulty: string }[]>(
        checkpoint,
        "faults.json",
      ).filter(({ what }) => what === "latents");
      assert.ok(faults.length >= 10);
      const ours = (await once(own)).latents.at(-1)!;
      for (const { fault, faulty } of faults) {
        const error = rmsError(golden("faults.safetensors", faulty).data, ours);
        assert.ok(error > LATENTS_TOLERANCE, `${fault} would pass with ${error}`);
      }
    });
  });
}
