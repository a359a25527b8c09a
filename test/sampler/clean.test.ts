/** What the rows of a run say of it: x0 at each evaluation, and which step each is a part of. */
import assert from "node:assert/strict";
import { createSampler, SAMPLER_NAMES, SAMPLER_VARIANTS } from "../../sampler/index.ts";
import { runSampler } from "../support/run-sampler.ts";

const SD2 = {
  _class_name: "PNDMScheduler",
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  clip_sample: false,
};

describe("x0 of a row", () => {
  it("is the picture wherever a model knows the noise that is in it", () => {
    const [picture, noise] = [0.7, -1.3];
    const files = [...SAMPLER_VARIANTS.map((name) => [name, SD2] as const)];
    files.push(["pndm", { ...SD2, skip_prk_steps: false }]);
    for (const [name, file] of files) {
      const sampler = createSampler(name, file, 7);
      const { start, rows } = sampler;
      const first = start.image * picture + start.noise * noise;
      const seen = [
        [first],
        ...runSampler(
          sampler,
          [first],
          () => noise,
          () => [0],
        ),
      ];
      // Noise that is drawn is not in the picture's own line any more.
      const known = sampler.draws > 0 ? 1 : rows.length;
      rows.slice(0, known).forEach(({ clean }, i) => {
        const found = clean.x * seen[i]![0]! + clean.output * noise;
        assert.ok(Math.abs(found - picture) < 1e-5, `${name}, row ${i}: ${found}`);
      });
    }
  });

  it("goes into DDIM's next sample alone, the noise beside it staying what it was", () => {
    for (const eta of [0, 1]) {
      const { rows } = createSampler("ddim", SD2, 5, { eta });
      rows.forEach(({ output, clean }, i) => {
        const next = rows[i + 1];
        // √ᾱ of the next timestep is 1 over x0's factor of x there.
        const signal = next ? 1 / next.clean.x : Math.sqrt(1 - 0.00085);
        assert.ok(Math.abs(output * clean.change! - signal) < 1e-6);
      });
    }
    const others = SAMPLER_NAMES.filter((name) => name !== "ddim");
    for (const name of others)
      assert.ok(createSampler(name, SD2, 5).rows.every(({ clean }) => clean.change === undefined));
  });
});

describe("the steps of a run", () => {
  it("hold the evaluations that each solver makes for them", () => {
    const steps = (name: string, file: object = SD2, strength = 1) =>
      createSampler(name, { ...SD2, ...file }, 4, { strength }).steps;
    assert.deepEqual(steps("euler"), [0, 1, 2, 3]);
    assert.deepEqual(steps("pndm"), [0, 0, 1, 2, 3]);
    assert.deepEqual(steps("pndm", {}, 0.5), [0, 0, 1]);
    const prk = [0, 1, 2].flatMap((step) => [step, step, step, step]);
    assert.deepEqual(steps("pndm", { skip_prk_steps: false }), [...prk, 3]);
    for (const name of ["heun", "dpm2", "dpm2_a", "dpmpp_2s_a", "dpmpp_sde"]) {
      assert.deepEqual(steps(name), [0, 0, 1, 1, 2, 2, 3]);
      assert.deepEqual(steps(name, {}, 0.75), [0, 0, 1, 1, 2]);
    }
  });

  it("take two evaluations, or one", () => {
    const twice = SAMPLER_NAMES.filter((name) => createSampler(name, SD2, 4).order === 2);
    assert.deepEqual(twice, ["heun", "dpm2", "dpm2_a", "dpmpp_2s_a", "dpmpp_sde"]);
    for (const name of SAMPLER_NAMES.filter((each) => each !== "pndm")) {
      const { order, rows } = createSampler(name, SD2, 4);
      assert.equal(rows.length, order === 2 ? 7 : 4, name);
    }
  });
});
