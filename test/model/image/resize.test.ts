import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { DiffusionError } from "../../../engine/errors.ts";
import { toGrey } from "../../../model/image/image.ts";
import { type Filter, resize } from "../../../model/image/resize.ts";
import { type Digest, digest, noiseImage } from "../../support/noise-image.ts";

type Size = readonly [height: number, width: number];

interface ResizeCase extends Digest {
  readonly filter: Filter;
  readonly from: Size;
  readonly to: Size;
  readonly channels: number;
  readonly seed: number;
}

const cases: { resize: ResizeCase[]; grey: (Digest & { from: Size; seed: number })[] } = JSON.parse(
  readFileSync(new URL("../../fixtures/images.json", import.meta.url), "utf8"),
);

describe("resize", () => {
  for (const { filter, from, to, channels, seed, ...expected } of cases.resize) {
    it(`gives Pillow's bytes: ${filter}, ${from.join("x")} to ${to.join("x")}, ${channels} channels`, () => {
      const made = resize(noiseImage(from, seed, channels), to[1], to[0], filter);
      assert.deepEqual([made.height, made.width], to);
      assert.deepEqual(digest(made.data), expected);
    });
  }

  it("keeps a flat picture flat, whatever the sizes", () => {
    const flat = { width: 31, height: 17, data: new Uint8Array(31 * 17 * 3).fill(201) };
    for (const filter of ["nearest", "bilinear", "bicubic", "lanczos"] as const)
      for (const [width, height] of [
        [7, 5],
        [64, 40],
        [1, 1],
      ] as const)
        assert.ok(resize(flat, width, height, filter).data.every((sample) => sample === 201));
  });

  it("refuses sizes that are none, and bytes that are not a picture's", () => {
    const image = noiseImage([4, 4], 1);
    const refused = (run: () => void) =>
      assert.throws(run, (e: DiffusionError) => e.code === "IMAGE_SIZE");
    for (const size of [0, -1, 1.5, Number.NaN]) refused(() => resize(image, size, 4, "lanczos"));
    refused(() => resize({ ...image, width: 5 }, 4, 4, "nearest"));
    refused(() => resize({ width: 0, height: 0, data: new Uint8Array() }, 4, 4, "nearest"));
  });
});

describe("toGrey", () => {
  it("gives Pillow's bytes", () => {
    for (const { from, seed, ...expected } of cases.grey)
      assert.deepEqual(digest(toGrey(noiseImage(from, seed)).data), expected);
  });
});
