/** Texts and guidance that change on the way, through the pipeline: diffusers' networks in a loop written out. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { PNG } from "pngjs";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { GenerateRequest, RgbaImage } from "../../model/request.ts";
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
import { distance, samples } from "../support/pictures.ts";

interface Case {
  readonly name: string;
  readonly model: CheckpointName;
  readonly request: GenerateRequest;
}

/** As for every other picture (pictures.test.ts). */
const LATENTS_TOLERANCE = 1e-5;
const WITHIN_ONE = 0.99;
const WORST = 3;

/** dB between a picture in f16 and diffusers' in f32. */
const HALF_PSNR = 40;

const PICTURES = ["schedule", "and", "dynamic-ddim"];

const cases = readGolden<Case[]>("guided", "guided.json");

function golden(name: string): number[] {
  const file = new URL(`../fixtures/golden/guided/${name}.png`, import.meta.url);
  return samples([PNG.sync.read(readFileSync(file)) as unknown as RgbaImage]);
}

for (const checkpoint of CHECKPOINTS) {
  describe(`runs of ${checkpoint} whose text or guidance changes, against diffusers`, () => {
    let device: Device;
    let sd: StableDiffusion;
    let tensors: GoldenTensors;
    before(async () => {
      device = (await adapters())[0]!.device;
      tensors = await openGolden("guided", ["latents.safetensors"]);
      sd = await StableDiffusion.fromPretrained(checkpointPath(checkpoint), {
        device,
        dtype: "f32",
      });
    });
    after(() => sd[Symbol.asyncDispose]());

    for (const { name, model, request } of cases) {
      if (model !== checkpoint) continue;
      it(`${name}: the latents${PICTURES.includes(name) ? ", and the picture" : ""}`, async () => {
        const { latents } = await sd.generate({ ...request, output: "latent" });
        const expected = tensors("latents.safetensors", `${name}/latents`);
        assert.deepEqual(latents!.shape, expected.shape);
        const error = rmsError(latents!.data, expected.data);
        assert.ok(error <= LATENTS_TOLERANCE, `the rms error is ${error}`);
        if (!PICTURES.includes(name)) return;
        const painted = samples((await sd.generate(request)).images);
        const { withinOne, worst } = distance(painted, golden(name));
        assert.ok(withinOne >= WITHIN_ONE, `${100 * withinOne} % are within a level`);
        assert.ok(worst <= WORST, `a sample is off by ${worst}`);
      });
    }

    const first = cases.find(({ model, name }) => model === checkpoint && PICTURES.includes(name))!;
    it(`${first.name} in f16 is at least ${HALF_PSNR} dB from that`, async () => {
      const options = { device, dtype: "f16" } as const;
      await using half = await StableDiffusion.fromPretrained(checkpointPath(checkpoint), options);
      const painted = samples((await half.generate(first.request)).images);
      const { psnr } = distance(painted, golden(first.name));
      assert.ok(psnr >= HALF_PSNR, `${psnr} dB`);
    });
  });
}
