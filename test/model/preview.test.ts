import assert from "node:assert/strict";
import { vaeConfig } from "../../model/config.ts";
import { previewOf } from "../../model/preview.ts";

const SHAPE = { batch: 1, height: 1, width: 2, channels: 4 };

describe("a preview", () => {
  it("is the matrix of the VAE's configuration, a pixel of each latent one", () => {
    const rgb = {
      factors: [
        [1, 0, 0],
        [0, 1, 0],
        [0, 0, 1],
        [0, 0, 0],
      ],
      bias: [0, 0, -1],
    };
    const { width, height, data } = previewOf([1, -1, 0, 9, -0.5, 0, 2, 9], SHAPE, rgb);
    assert.deepEqual([width, height], [2, 1]);
    assert.deepEqual([...data], [255, 0, 0, 255, 64, 128, 255, 255]);
    const half = previewOf([1, -1, 0, 9, 0, 0, 0, 0], SHAPE, rgb, 0.5);
    assert.deepEqual([...half.data.subarray(0, 3)], [191, 64, 0]);
  });

  it("falls back to Stable Diffusion's own where the configuration has none, or a damaged one", () => {
    const grey = previewOf([0, 0, 0, 0, 0, 0, 0, 0], SHAPE);
    assert.deepEqual([...grey.data.subarray(0, 4)], [128, 128, 128, 255]);
    for (const factors of [undefined, 3, [[1, 2]], [[1, 2, "3"], [], [], []]])
      assert.equal(
        vaeConfig({ latent_rgb_factors: factors, latent_rgb_bias: [0, 0, 0] }).latentRgb,
        undefined,
      );
  });
});
