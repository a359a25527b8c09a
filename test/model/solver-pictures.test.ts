/** Pictures of the deterministic solvers that pictures.test.ts lacks, in f32 against diffusers and in f16. */
import assert from "node:assert/strict";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import { withLatents } from "../../tools/verify/latents-spy.ts";
import { adapters } from "../support/devices.ts";
import {
  CHECKPOINTS,
  checkpointPath,
  type GoldenTensors,
  openGolden,
  readGolden,
  rmsError,
} from "../support/golden.ts";
import { distance, type Stride, samples, samplesAt } from "../support/pictures.ts";

/** One entry of solvers.json; see test/fixtures/README.md. */
interface SolverCase {
  readonly name: string;
  readonly prompt: string;
  readonly guidance: number;
  readonly seed: number;
  readonly steps: number;
  readonly width: number;
  readonly height: number;
  readonly stride: Stride;
}

/** As of the other pictures (pictures.test.ts). */
const LATENTS_TOLERANCE = 1e-5;
const WITHIN_ONE = 0.99;
const WORST = 3;
const HALF_PSNR = 40;

for (const checkpoint of CHECKPOINTS) {
  describe(`deterministic solvers on ${checkpoint} against diffusers`, () => {
    const cases = readGolden<SolverCase[]>(checkpoint, "solvers.json");
    let device: Device;
    let golden: GoldenTensors;
    let single: StableDiffusion;
    let half: StableDiffusion;
    before(async () => {
      device = (await adapters())[0]!.device;
      golden = await openGolden(checkpoint, ["solvers.safetensors"]);
      const open = (dtype: "f32" | "f16") =>
        StableDiffusion.fromPretrained(checkpointPath(checkpoint), { device, dtype });
      [single, half] = [await open("f32"), await open("f16")];
    });
    after(async () => {
      for (const pipeline of [single, half]) await pipeline[Symbol.asyncDispose]();
    });

    for (const { name, guidance, stride, ...request } of cases) {
      it(`${name}: the latents and the picture, and the same in f16`, async () => {
        const { width, height } = request;
        const shape = { batch: 1, height: height / 8, width: width / 8, channels: 4 };
        const paint = (sd: StableDiffusion) =>
          sd.generate({ ...request, guidanceScale: guidance, scheduler: name });
        const { latents, result } = await withLatents(device, shape, () => paint(single));
        const expected = (what: string) => golden("solvers.safetensors", `${name}/${what}`).data;
        const error = rmsError(latents.at(-1)!, expected("latents"));
        assert.ok(error <= LATENTS_TOLERANCE, `the rms error is ${error}`);
        const found = distance(samplesAt(result.images, stride), expected("pictures"));
        assert.ok(found.withinOne >= WITHIN_ONE, `${100 * found.withinOne} % are within a level`);
        assert.ok(found.worst <= WORST, `a sample is off by ${found.worst}`);
        const { images } = await paint(half);
        const { psnr } = distance(samples(images), samples(result.images));
        assert.ok(psnr >= HALF_PSNR && psnr < 99, `${psnr} dB in f16`);
      });
    }
  });
}
