import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { DiffusionError } from "../../../engine/errors.ts";
import { checkMask, latentMask, prepareInpaint, prepareMask } from "../../../model/image/mask.ts";
import { prepareImage, UPSCALE } from "../../../model/image/prepare.ts";
import type { Filter } from "../../../model/image/resize.ts";
import { type Digest, digest, noiseImage } from "../../support/noise-image.ts";

type Size = readonly [height: number, width: number];

interface PrepareCase extends Digest {
  readonly multiple: number;
  readonly filter: Filter;
  readonly from: Size;
  readonly wanted: Size | null;
  readonly seed: number;
  readonly shape: readonly number[];
}

interface InpaintCase {
  readonly image: Size;
  readonly mask: Size;
  readonly channels: number;
  readonly size: Size;
  readonly seed: number;
  readonly prepared: Digest;
  readonly condition: Digest;
  readonly masked: Digest;
  readonly latent: Digest;
}

const cases: { prepare: PrepareCase[]; inpaint: InpaintCase[] } = JSON.parse(
  readFileSync(new URL("../../fixtures/images.json", import.meta.url), "utf8"),
);

const refuses = (code: string, run: () => void) =>
  assert.throws(run, (e: DiffusionError) => e.code === code);

describe("prepareImage", () => {
  for (const { multiple, filter, from, wanted, seed, shape, ...expected } of cases.prepare) {
    it(`gives diffusers' floats: ${from.join("x")} to ${shape.join("x")}, multiples of ${multiple}`, () => {
      const size = wanted ? { height: wanted[0], width: wanted[1] } : {};
      const task = multiple === 4 ? UPSCALE : { multiple, filter };
      const made = prepareImage(noiseImage(from, seed), { ...size, ...task });
      assert.deepEqual(made.shape, shape);
      assert.deepEqual(digest(made.data), expected);
    });
  }

  it("refuses a picture of which nothing would be left", () => {
    refuses("IMAGE_SIZE", () => prepareImage(noiseImage([7, 64], 1)));
    refuses("IMAGE_SIZE", () => prepareImage(noiseImage([64, 64], 1), { width: 4 }));
  });
});

describe("prepareInpaint", () => {
  for (const { image, mask, channels, size, seed, ...expected } of cases.inpaint) {
    it(`gives diffusers' picture, mask, masked picture and latent mask: ${channels} channels`, () => {
      const [height, width] = size;
      const made = prepareInpaint(noiseImage(image, seed), noiseImage(mask, seed + 1, channels), {
        ...{ height, width },
      });
      assert.deepEqual(
        {
          prepared: digest(made.image.data),
          condition: digest(made.mask.data),
          masked: digest(made.maskedImage.data),
          latent: digest(made.latentMask.data),
        },
        expected,
      );
      assert.deepEqual(made.latentMask.shape, [1, height / 8, width / 8, 1]);
      assert.equal(made.warnings.length, String(image) === String(mask) ? 0 : 1);
    });
  }

  it("repaints what is white, or what is clear where the mask says so by its alpha", () => {
    const data = Uint8Array.from({ length: 8 * 16 * 4 }, (_, i) => (i % 64 < 32 ? 255 : 0));
    const mask = { width: 16, height: 8, data };
    const left = Float32Array.from({ length: 8 * 16 }, (_, i) => +(i % 16 < 8));
    assert.deepEqual(prepareMask(mask).data, left);
    const right = left.map((value) => 1 - value);
    assert.deepEqual(prepareMask(mask, { maskMode: "alpha" }).data, right);
    assert.deepEqual([...latentMask(prepareMask(mask)).data], [1, 0]);
  });

  it("refuses to look for alpha where there is none", () => {
    refuses("IMAGE_FORMAT", () => prepareMask(noiseImage([8, 8], 1), { maskMode: "alpha" }));
  });

  it("warns of a mask of another size, and of one that repaints nothing", () => {
    const size = { width: 8, height: 8 };
    const white = prepareMask({ ...size, data: new Uint8Array(64).fill(255) });
    const black = prepareMask({ ...size, data: new Uint8Array(64) });
    assert.deepEqual(checkMask(size, size, white), []);
    assert.match(checkMask({ width: 9, height: 8 }, size, white).join(), /8x8 and the image 9x8/);
    assert.match(checkMask(size, size, black).join(), /nothing is repainted/);
  });
});
