import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { createTorchGenerator, torchRandn } from "../../engine/random.ts";

type Case = { seed: string; counts: number[]; sha256: string; first: number[]; last: number[] };

const cases: Case[] = JSON.parse(
  readFileSync(new URL("../fixtures/torch-noise.json", import.meta.url), "utf8"),
);

describe("torch-exact noise", () => {
  for (const { seed, counts, sha256, first, last } of cases) {
    it(`seed ${seed} draws torch's bits for sizes ${counts.join(", ")}`, () => {
      const generator = createTorchGenerator(BigInt(seed));
      const values = counts.flatMap((count) => [...generator.randn(count)]);
      assert.deepEqual(values.slice(0, 20), first);
      assert.deepEqual(values.slice(-20), last);
      assert.equal(createHash("sha256").update(Float32Array.from(values)).digest("hex"), sha256);
    });
  }

  it("multiplies the shape and takes the seed as a number too", () => {
    const flat = createTorchGenerator(42n).randn(4 * 8 * 9);
    assert.deepEqual(torchRandn(42, [1, 4, 8, 9]), flat);
    assert.notDeepEqual(torchRandn(43, [1, 4, 8, 9]), flat);
    assert.equal(torchRandn(0, [0, 4]).length, 0);
  });

  it("uses the low 32 bits of the seed, as PyTorch's CPU generator does", () => {
    assert.deepEqual(torchRandn(2 ** 32 + 5, [20]), torchRandn(5, [20]));
    assert.deepEqual(torchRandn(-1, [20]), torchRandn(2n ** 64n - 1n, [20]));
  });

  it("refuses a seed that is no exact integer", () => {
    for (const seed of [0.5, Number.NaN, Number.POSITIVE_INFINITY, 2 ** 53]) {
      assert.throws(() => torchRandn(seed, [4]), { code: "BAD_REQUEST", message: /seed/ });
    }
  });
});
