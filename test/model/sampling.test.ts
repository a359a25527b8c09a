/** What a request says of timesteps, settings and seeds, through the pipeline: final latents against diffusers. */
import assert from "node:assert/strict";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { GenerateRequest } from "../../model/request.ts";
import { adapters } from "../support/devices.ts";
import {
  CHECKPOINTS,
  checkpointPath,
  type GoldenTensors,
  openGolden,
  readGolden,
  rmsError,
} from "../support/golden.ts";
import { samples } from "../support/pictures.ts";
import { removeTaskFolders, taskFolder } from "../support/task-folder.ts";

interface Case {
  readonly name: string;
  /** From the picture of slopes. */
  readonly image: boolean;
  readonly request: GenerateRequest;
}

/** rms(Δ) / rms(expected) of final latents, as for every other run (pictures.test.ts). */
const LATENTS_TOLERANCE = 1e-5;

/** As tools/reference/sampling.py has it. */
const SLOPES = {
  width: 64,
  height: 64,
  data: Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => {
    const [x, y] = [Math.floor(i / 3) % 64, Math.floor(i / 192)];
    return [4 * x, 4 * y, 2 * (x + y)][i % 3]!;
  }),
};

for (const checkpoint of CHECKPOINTS) {
  describe(`timesteps, settings and seeds of requests to ${checkpoint}`, () => {
    let device: Device;
    let sd: StableDiffusion;
    let golden: GoldenTensors;
    before(async () => {
      device = (await adapters())[0]!.device;
      golden = await openGolden(checkpoint, ["sampling.safetensors"]);
      sd = await StableDiffusion.fromPretrained(checkpointPath(checkpoint), {
        device,
        dtype: "f32",
      });
    });
    after(() => sd[Symbol.asyncDispose]());

    for (const { name, image, request } of readGolden<Case[]>(checkpoint, "sampling.json")) {
      it(`${name}: diffusers' latents`, async () => {
        const asked = { ...request, ...(image && { image: SLOPES }), output: "latent" } as const;
        const { latents } = await sd.generate(asked);
        const expected = golden("sampling.safetensors", `${name}/latents`);
        assert.deepEqual(latents?.shape, expected.shape);
        const error = rmsError(latents!.data, expected.data);
        assert.ok(error <= LATENTS_TOLERANCE, `the rms error is ${error}`);
      });
    }
  });
}

describe("pictures with a seed each", () => {
  const SEED = 2 ** 31 + 5;
  after(removeTaskFolders);

  async function sameAlone(folder: string, request: Omit<GenerateRequest, "prompt">) {
    const { device } = (await adapters())[0]!;
    await using sd = await StableDiffusion.fromPretrained(folder, { device, dtype: "f32" });
    const asked = { prompt: "a horse", guidanceScale: 3, ...request };
    const both = { ...asked, seed: SEED, numImages: 2 };
    const { images } = await sd.generate({ ...both, perImageSeeds: true });
    const shared = await sd.generate(both);
    assert.notDeepEqual(samples([shared.images[1]!]), samples([images[1]!]));
    for (const [i, image] of images.entries()) {
      const alone = await sd.generate({ ...asked, seed: SEED + i });
      assert.deepEqual(samples(alone.images), samples([image]), `picture ${i}`);
    }
  }

  it("are the bytes that each gives alone, with noise in the steps", () =>
    sameAlone(checkpointPath("tiny-v"), { scheduler: "euler_a", steps: 2, width: 64, height: 64 }));

  it("are that from a picture, which each samples for itself", () =>
    sameAlone(checkpointPath("tiny-v"), { steps: 3, image: SLOPES }));

  it("are that under a mask, whose picture each samples for itself", async () => {
    const data = SLOPES.data.map((_, i) => (i % 192 < 96 ? 255 : 0));
    const mask = { ...SLOPES, data };
    return sameAlone(await taskFolder("inpaint-a"), { steps: 2, image: SLOPES, mask });
  });
});
