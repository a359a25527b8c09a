/** Solvers that draw noise in their steps, through the plans and the loop: PyTorch's noise in diffusers' order. */
import assert from "node:assert/strict";
import { type Device, WeightCache } from "../../engine/index.ts";
import { createTorchGenerator } from "../../engine/random.ts";
import { type Checkpoint, openCheckpoint } from "../../model/checkpoint.ts";
import { coefficientTable, initialState, noiseSource } from "../../model/denoise.ts";
import { openFolder } from "../../model/folder.node.ts";
import { runSteps } from "../../model/loop.ts";
import { compilePlans, type Plans } from "../../model/painter.ts";
import { readLatents } from "../../model/read-back.ts";
import { timestepEmbedding } from "../../model/unet.ts";
import { createSampler } from "../../sampler/index.ts";
import { adapters } from "../support/devices.ts";
import {
  CHECKPOINTS,
  checkpointPath,
  openGolden,
  readGolden,
  rmsError,
} from "../support/golden.ts";

interface Case {
  readonly name: string;
  readonly prompt: string;
  readonly guidance: number;
  readonly seed: number;
  readonly steps: number;
  readonly eta: number;
}

/** rms(Δ) / rms(expected) of final latents, as for the other solvers (pictures.test.ts). */
const LATENTS_TOLERANCE = 1e-5;

const LATENTS = { batch: 2, height: 8, width: 8, channels: 4 };
const EVALUATIONS = 5;
const TOKENS = 77;

for (const checkpoint of CHECKPOINTS) {
  describe(`noise in the steps of ${checkpoint} against diffusers`, () => {
    const cases = readGolden<Case[]>(checkpoint, "noisy.json");
    let device: Device;
    let weights: WeightCache;
    let model: Checkpoint;
    let plans: Plans;
    before(async () => {
      device = (await adapters())[0]!.device;
      weights = new WeightCache(device);
      model = await openCheckpoint(await openFolder(checkpointPath(checkpoint)));
      const { signal } = new AbortController();
      const setting = { device, weights, dtype: "f32", signal } as const;
      const sizes = { latents: LATENTS, evaluations: EVALUATIONS, repeats: 2, tokens: TOKENS };
      plans = await compilePlans(setting, model, { ...sizes, noise: true });
    });
    after(async () => {
      await plans.destroy();
      await weights.destroy();
      await model[Symbol.asyncDispose]();
    });

    async function paint({ name, prompt, guidance, seed, steps, eta }: Case) {
      const sampler = createSampler(name, model.scheduler.values, steps, { eta });
      assert.equal(sampler.rows.length, EVALUATIONS);
      const { batch, height, width, channels } = LATENTS;
      const generator = createTorchGenerator(seed);
      const first = generator.randn(batch * channels * height * width);
      const ids = ["", prompt].flatMap((text) => [...model.tokenizer.encode(text, TOKENS).ids]);
      const timesteps = sampler.rows.map(({ timestep }) => timestep);
      plans.prompt.write("ids", ids);
      plans.times.write("sinusoids", timestepEmbedding(timesteps, model.unet.config));
      plans.step.write("state", initialState(first, LATENTS, sampler.initNoiseSigma));
      plans.step.write("table", coefficientTable(sampler, guidance));
      plans.prompt.run();
      plans.times.run();
      await runSteps(plans.step, sampler, { noise: noiseSource(generator, LATENTS) });
      return (await readLatents(plans.step, LATENTS, name)).data;
    }

    for (const each of cases) {
      it(`${each.name}: the latents of two pictures`, async () => {
        const golden = await openGolden(checkpoint, ["noisy.safetensors"]);
        const expected = golden("noisy.safetensors", `${each.name}/latents`).data;
        const error = rmsError(await paint(each), expected);
        assert.ok(error <= LATENTS_TOLERANCE, `the rms error is ${error}`);
      });
    }

    it("needs a source of noise where a solver draws any", async () => {
      const sampler = createSampler("euler_a", model.scheduler.values, EVALUATIONS);
      await assert.rejects(runSteps(plans.step, sampler, {}), /draws noise/);
    });
  });
}
