import assert from "node:assert/strict";
import { attention, concat, slice, type Tensor, tensor } from "../../engine/index.ts";
import { type AttentionSizes, attentionReference } from "../reference/attention.ts";
import { close, rounded } from "../support/close.ts";
import { describeOnMatrixUnits } from "../support/devices.ts";
import { kernels, numbered, runAll } from "../support/fused.ts";
import { type Random, random } from "../support/random.ts";

/** Around 32 and 64 queries and 32 keys; heads of 64 channels and of whole and broken fragments of 16. */
const CASES: readonly AttentionSizes[] = [
  { B: 1, N: 1, M: 1, heads: 1, d: 64, e: 64 },
  { B: 2, N: 33, M: 77, heads: 3, d: 64, e: 64 },
  { B: 1, N: 65, M: 64, heads: 2, d: 64, e: 64, causal: true },
  { B: 1, N: 40, M: 33, heads: 2, d: 40, e: 24 },
  { B: 2, N: 9, M: 100, heads: 1, d: 8, e: 40 },
  { B: 1, N: 31, M: 95, heads: 1, d: 128, e: 32 },
];

interface Data {
  readonly q: Float32Array;
  readonly k: Float32Array;
  readonly v: Float32Array;
}

function operands({ B, N, M, heads, d, e }: AttentionSizes, r: Random, deviation = 1): Data {
  return {
    q: rounded(r.normals(B * N * heads * d, deviation), "f16"),
    k: rounded(r.normals(B * M * heads * d), "f16"),
    v: rounded(r.normals(B * M * heads * e), "f16"),
  };
}

function build(c: AttentionSizes, { q, k, v }: Data): Tensor {
  const { B, N, M, heads, d, e, causal = false } = c;
  return attention(
    tensor(q, [B, N, heads * d], "f16"),
    tensor(k, [B, M, heads * d], "f16"),
    tensor(v, [B, M, heads * e], "f16"),
    heads,
    { isCausal: causal, ...(c.scale === undefined ? {} : { scale: c.scale }) },
  );
}

/** Weights are halves: each is off by up to 2^-11 of itself, in either direction. */
function closeTo(actual: ArrayLike<number>, c: AttentionSizes, { q, k, v }: Data): void {
  const expected = attentionReference(q, k, v, c);
  close(actual, expected, {
    dtype: "f16",
    roundings: 2,
    terms: c.d + c.M,
    label: JSON.stringify(c),
  });
}

describeOnMatrixUnits("matrix-attention", (getDevice) => {
  it("averages the values by softmax of the scores", async () => {
    const r = random(61);
    const cases = CASES.map((c) => {
      const data = operands(c, r);
      return { c, data, y: build(c, data) };
    });
    assert.deepEqual(new Set(kernels(getDevice(), numbered(cases))), new Set(["matrix-attention"]));
    const results = await runAll(getDevice(), numbered(cases));
    cases.forEach(({ c, data }, i) => {
      closeTo(results[i]!, c, data);
    });
  });

  it("stays right where scores reach a thousand, and where a maximum is raised late", async () => {
    const c: AttentionSizes = { B: 1, N: 12, M: 150, heads: 1, d: 16, e: 8, scale: 1 };
    const wide = operands(c, random(62), 60);
    const late = operands(c, random(63), 0.1);
    // Later keys outgrow earlier ones by far, each for some of the queries only.
    for (let m = 40; m < 150; m += 37) late.k[m * 16 + (m % 16)] = 2000;
    const y = await runAll(getDevice(), { wide: build(c, wide), late: build(c, late) });
    for (const [name, data] of Object.entries({ wide, late })) {
      const expected = attentionReference(data.q, data.k, data.v, c);
      // A score of 1e3 is rounded by 1e3 · 2^-24 in f32, and exp passes that on.
      close(y[name]!, expected, { dtype: "f16", roundings: 2, terms: 16, magnitude: 2e3 });
    }
  });

  it("reads q, k and v in place out of one tensor", async () => {
    const c: AttentionSizes = { B: 2, N: 17, M: 17, heads: 2, d: 8, e: 8 };
    const data = operands(c, random(64));
    const parts = [data.q, data.k, data.v].map((x) => tensor(x, [2, 17, 16], "f16"));
    const all = concat(parts, 2);
    const thirds = [0, 16, 32].map((from) => slice(all, 2, from, from + 16));
    const y = attention(thirds[0]!, thirds[1]!, thirds[2]!, 2);
    assert.deepEqual(kernels(getDevice(), { y }), ["concat", "concat", "matrix-attention"]);
    closeTo((await runAll(getDevice(), { y })).y!, c, data);
  });
});
