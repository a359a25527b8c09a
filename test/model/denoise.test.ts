/** What a run starts from, on the host. */
import assert from "node:assert/strict";
import { createTorchGenerator, torchRandn } from "../../engine/random.ts";
import { initialState, latentsOf, noisedState, noiseSource } from "../../model/denoise.ts";
import { STATE_PLANES } from "../../shaders/sampler-step.ts";

const SHAPE = { batch: 2, height: 3, width: 5, channels: 4 };
const COUNT = 120;

describe("the state of a run", () => {
  it("starts from a picture's latents and noise as add_noise mixes them", () => {
    const [image, noise] = [torchRandn(1, [COUNT]), torchRandn(2, [COUNT])];
    const state = noisedState(image, noise, SHAPE, { image: 0.5, noise: 2 });
    assert.equal(state.length, STATE_PLANES * COUNT);
    const mixed = image.map((value, i) => 0.5 * value + 2 * noise[i]!);
    assert.deepEqual(latentsOf(state, SHAPE), mixed);
    assert.ok(state.subarray(COUNT).every((value) => value === 0));
  });

  it("draws the steps' noise after the first, for all pictures at once, channels last", () => {
    const generator = createTorchGenerator(7);
    const all = createTorchGenerator(7);
    const draw = noiseSource(generator, SHAPE);
    generator.randn(COUNT);
    all.randn(COUNT);
    for (let step = 0; step < 2; step++) {
      const drawn = draw();
      const expected = initialState(all.randn(COUNT), SHAPE, 1).subarray(0, COUNT);
      assert.deepEqual(drawn, expected);
    }
  });
});
