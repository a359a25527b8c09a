import assert from "node:assert/strict";
import {
  depthPixels,
  dptProcessor,
  inputSize,
  type RgbPicture,
} from "../../../model/depth/index.ts";
import { openTinyDepth, tinyJson } from "../../support/depth.ts";
import { readGolden } from "../../support/golden.ts";

interface SizeCase {
  readonly from: readonly [number, number];
  readonly size: readonly [number, number];
  readonly keepAspectRatio: boolean;
  readonly ensureMultipleOf: number;
  readonly to: readonly [number, number];
}

const FOLDER = dptProcessor(tinyJson("feature_extractor/preprocessor_config.json"));
const picture = (width: number, height: number): RgbPicture => ({
  width,
  height,
  data: new Uint8Array(3 * width * height),
});

describe("the depth estimator's preprocessing", () => {
  it("brings pictures to the sizes that transformers does", () => {
    for (const c of readGolden<SizeCase[]>("tiny-depth", "sizes.json")) {
      const { from, to, size, ...rest } = c;
      const processor = { ...dptProcessor(), ...rest, size };
      assert.deepEqual(inputSize(processor, ...from), to, JSON.stringify(c));
    }
  });

  it("gives transformers' pixel_values bit for bit, from Pillow's resized picture", async () => {
    const { golden } = await openTinyDepth();
    const [original, resized] = ["pipeline/picture", "pipeline/resized"].map(golden);
    const [height, width] = original!.shape as [number, number];
    const from = { height, width, data: Uint8Array.from(original!.data) };
    const asked: unknown[] = [];
    const pixels = depthPixels(from, FOLDER, 32, (image, width, height, filter) => {
      asked.push(image, width, height, filter);
      return { width, height, data: Uint8Array.from(resized!.data) };
    });
    assert.deepEqual(asked, [from, 64, 64, "bicubic"]);
    assert.deepEqual([pixels.height, pixels.width], [64, 64]);
    // A corner of it: [1, 3, 8, 8] from row 20 and column 40.
    const expected = golden("pipeline/pixel_values").data;
    for (const [i, value] of expected.entries()) {
      const [c, y, x] = [Math.floor(i / 64), 20 + (Math.floor(i / 8) % 8), 40 + (i % 8)];
      assert.equal(pixels.data[(y * 64 + x) * 3 + c], value, `color ${c} of ${y}, ${x}`);
    }
  });

  it("takes the class's defaults where the folder says nothing", () => {
    const defaults = dptProcessor();
    assert.deepEqual(defaults, {
      resize: true,
      size: [384, 384],
      keepAspectRatio: false,
      ensureMultipleOf: 1,
      filter: "bicubic",
      rescaleFactor: 1 / 255,
      mean: [0.5, 0.5, 0.5],
      std: [0.5, 0.5, 0.5],
    });
    assert.deepEqual(FOLDER, { ...defaults, size: [64, 64] });
    assert.deepEqual(dptProcessor({ size: 384, resample: 2 }), { ...defaults, filter: "bilinear" });
  });

  it("refuses a size that the network cannot take, naming the setting", () => {
    const uneven = dptProcessor({ keep_aspect_ratio: true });
    const resize = () => assert.fail("nothing is resized");
    assert.throws(() => depthPixels(picture(500, 300), uneven, 32, resize), {
      code: "CONFIG",
      message: /384x230 of a picture of 500x300.*multiples of 32/,
      hint: /ensure_multiple_of to 32/,
    });
    const thin = dptProcessor({ keep_aspect_ratio: true, ensure_multiple_of: 32 });
    assert.throws(() => depthPixels(picture(2000, 20), thin, 32, resize), { code: "CONFIG" });
  });

  it("refuses settings that it does not know, naming file and key", () => {
    const wrong: [key: string, value: unknown][] = [
      ["do_pad", true],
      ["do_rescale", false],
      ["resample", 7],
      ["size", { shortest_edge: 384 }],
      ["size", 0],
      ["image_std", [0.5, 0, 0.5]],
      ["image_mean", [0.5]],
      ["ensure_multiple_of", 1.5],
    ];
    for (const [key, value] of wrong) {
      const message = new RegExp(`preprocessor_config\\.json: ${key}`);
      assert.throws(() => dptProcessor({ [key]: value }), { code: "CONFIG", message });
    }
  });
});
