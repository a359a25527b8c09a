import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { philox, type Words } from "../../engine/random/philox.ts";
import {
  createGenerator,
  createTorchGenerator,
  drawNoise,
  GENERATOR_KINDS,
  type NoiseOptions,
  torchRandn,
} from "../../engine/random.ts";

type Excerpt = { sha256: string; first: number[]; last: number[] };
type Case = Excerpt & { seed: string; counts: number[] };
type Batch = {
  seed: number;
  batch: number;
  perPicture: number;
  together: Excerpt;
  perImage: Excerpt;
};

const fixture = (name: string) =>
  JSON.parse(readFileSync(new URL(`../fixtures/${name}.json`, import.meta.url), "utf8"));
const cases: Case[] = fixture("torch-noise");
const other: { numpy: Case[]; batches: Batch[]; cuda: { seed: string; draws: number[][] }[] } =
  fixture("other-noise");

/** The very same float32 values. */
function assertBits(values: ArrayLike<number>, { first, last, sha256 }: Excerpt): void {
  const bits = Float32Array.from(values);
  assert.deepEqual([...bits.slice(0, first.length)], first);
  assert.deepEqual([...bits.slice(-last.length)], last);
  assert.equal(createHash("sha256").update(bits).digest("hex"), sha256);
}

describe("torch-exact noise", () => {
  for (const { seed, counts, ...expected } of cases) {
    it(`seed ${seed} draws torch's bits for sizes ${counts.join(", ")}`, () => {
      const generator = createGenerator("torch", BigInt(seed));
      assertBits(
        counts.flatMap((count) => [...generator.randn(count)]),
        expected,
      );
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

describe("NumPy's noise", () => {
  for (const { seed, counts, ...expected } of other.numpy) {
    it(`seed ${seed} draws RandomState's values, as float32, for sizes ${counts.join(", ")}`, () => {
      const generator = createGenerator("numpy", BigInt(seed));
      assertBits(
        counts.flatMap((count) => [...generator.randn(count)]),
        expected,
      );
    });
  }

  it("refuses the seeds that NumPy refuses", () => {
    for (const seed of [-1, 2 ** 32, 2n ** 40n, 0.5]) {
      assert.throws(() => createGenerator("numpy", seed), { code: "BAD_REQUEST", message: /seed/ });
    }
  });
});

describe("CUDA's noise", () => {
  it("is of the blocks that the authors of Philox published", () => {
    // Random123, tests/kat_vectors, philox4x32 10.
    const ones = 0xffffffff;
    const known: [Words, [number, number], Words][] = [
      [
        [0, 0, 0, 0],
        [0, 0],
        [0x6627e8d5, 0xe169c58d, 0xbc57ac4c, 0x9b00dbd8],
      ],
      [
        [ones, ones, ones, ones],
        [ones, ones],
        [0x408f276d, 0x41c83b0e, 0xa20bc7c6, 0x6d5451fd],
      ],
      [
        [0x243f6a88, 0x85a308d3, 0x13198a2e, 0x03707344],
        [0xa4093822, 0x299f31d0],
        [0xd16cfe09, 0x94fdcceb, 0x5001e420, 0x24126ea1],
      ],
    ];
    for (const [counter, key, block] of known) assert.deepEqual(philox(counter, key), block);
  });

  it("is the draw that A1111 documents for seed 0", () => {
    const documented = [
      -0.92466259, -0.42534415, -2.6438457, 0.14518388, -0.12086647, -0.57972564, -0.62285122,
      -0.32838709, -1.07454231, -0.36314407, -1.67105067, 2.26550497,
    ];
    assertNear(createGenerator("cuda", 0).randn(12), documented);
  });

  for (const { seed, draws } of other.cuda) {
    it(`seed ${seed} counts its calls and knows all 64 bits of the seed`, () => {
      const generator = createGenerator("cuda", BigInt(seed));
      for (const expected of draws) assertNear(generator.randn(expected.length), expected);
    });
  }

  it("gives an element the same value whatever the size of the draw", () => {
    const long = createGenerator("cuda", 7).randn(1000);
    assert.deepEqual(createGenerator("cuda", 7).randn(10), long.slice(0, 10));
  });
});

/** Within the roundings of float32 functions of values up to about 4. */
function assertNear(actual: Float32Array, expected: readonly number[]): void {
  assert.equal(actual.length, expected.length);
  actual.forEach((value, i) => {
    const error = Math.abs(value - expected[i]!);
    assert.ok(error <= 1e-6, `value ${i} is ${value}, expected ${expected[i]}`);
  });
}

describe("noise of several pictures", () => {
  for (const { seed, batch, perPicture, together, perImage } of other.batches) {
    it(`of seed ${seed} is one draw, as diffusers', or a draw for each seed after it, as A1111's`, () => {
      const draw = (options?: NoiseOptions) => drawNoise("torch", seed, batch, perPicture, options);
      assertBits(draw(), together);
      assertBits(draw({ seeds: "batch" }), together);
      assertBits(draw({ seeds: "perImage" }), perImage);
    });
  }

  it("holds what each seed alone paints, for every generator", () => {
    for (const kind of GENERATOR_KINDS) {
      const all = drawNoise(kind, 5n, 3, 21, { seeds: "perImage" });
      const alone = [5, 6, 7].flatMap((seed) => [...drawNoise(kind, seed, 1, 21)]);
      assert.deepEqual([...all], alone, kind);
    }
  });

  it("refuses a seed whose pictures would run out of seeds", () => {
    const options = { seeds: "perImage" } as const;
    const code = { code: "BAD_REQUEST" };
    assert.throws(() => drawNoise("torch", Number.MAX_SAFE_INTEGER, 2, 4, options), code);
    assert.throws(() => drawNoise("numpy", 2 ** 32 - 1, 2, 4, options), code);
  });
});
