import assert from "node:assert/strict";
import { concat, evaluate, groupNorm, silu, type Tensor, tensor } from "../../engine/index.ts";
import { concat as concatReference } from "../reference/layout.ts";
import { groupNormReference } from "../reference/norm.ts";
import { close, rounded } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { kernels, runAll } from "../support/fused.ts";
import { normalOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

/** Pictures of one row, around chunks of 32 rows, and groups of 1, 3, 8, 10 and 11 channels. */
const CASES = [
  { B: 1, P: 1, C: 4, groups: 2 },
  { B: 2, P: 5, C: 7, groups: 7 },
  { B: 1, P: 31, C: 3, groups: 1 },
  { B: 2, P: 33, C: 64, groups: 8 },
  { B: 1, P: 64, C: 320, groups: 32 },
  { B: 3, P: 97, C: 22, groups: 2 },
] as const;

describeOnEveryAdapter("group-norm", (getDevice) => {
  for (const dtype of ["f32", "f16"] as const) {
    it(`gives every ${dtype} group mean 0 and variance 1, then weight and bias`, async () => {
      const { normals } = random(21);
      for (const sizes of CASES) {
        const { B, P, C, groups } = sizes;
        const x = rounded(normals(B * P * C, 2, 0.5), dtype);
        const weight = normals(C);
        const bias = normals(C);
        const y = await evaluate(getDevice(), () =>
          groupNorm(tensor(x, [B, P, C], dtype), groups, tensor(weight, [C]), tensor(bias, [C])),
        );
        const expected = groupNormReference(x, sizes, { weight, bias });
        close(y, expected, {
          dtype,
          terms: (P * C) / groups,
          label: `[${B}, ${P}, ${C}]/${groups}`,
        });
      }
    });
  }

  it("takes silu of the result in the same pass", async () => {
    const sizes = { B: 2, P: 9, C: 20, groups: 4 };
    const x = random(22).normals(360, 3);
    const build = () => silu(groupNorm(tensor(x, [2, 3, 3, 20]), 4, null, null, 1e-6));
    const expected = groupNormReference(x, sizes, { eps: 1e-6 }).map((v) => v / (1 + Math.exp(-v)));
    for (const fuse of [true, false]) {
      const y = await evaluate(getDevice(), build, { fuse });
      close(y, expected, { dtype: "f32", terms: 45, label: `fuse ${fuse}` });
    }
  });

  it("keeps the digits of a large picture far from zero", async () => {
    const sizes = { B: 1, P: 128 * 128, C: 8, groups: 2 };
    const x = random(23).normals(128 * 128 * 8, 1, 1e3);
    const y = await evaluate(getDevice(), () => groupNorm(tensor(x, [1, 128, 128, 8]), 2));
    // The mean of 1000 is itself rounded to a step of 2^-24 · 1000.
    close(y, groupNormReference(x, sizes), { dtype: "f32", magnitude: 1e3 });
  });

  it("is not thrown off by a chunk that starts with an outlier", async () => {
    const sizes = { B: 1, P: 100, C: 6, groups: 2 };
    const x = random(24).normals(600);
    x[0] = 1e4;
    const y = await evaluate(getDevice(), () => groupNorm(tensor(x, [1, 100, 6]), 2));
    close(y, groupNormReference(x, sizes), { dtype: "f32", terms: 300 });
  });
});

/** Groups that lie on vec4 borders alone, in twos and in fours; more columns than a workgroup has threads. */
const FEW = [
  { dtype: "f16", B: 2, P: 33, C: 64, groups: 8 },
  { dtype: "f16", B: 2, P: 3, C: 2100, groups: 1 },
  { dtype: "f16", B: 1, P: 300, C: 24, groups: 3 },
  { dtype: "f32", B: 2, P: 7, C: 20, groups: 2 },
  { dtype: "f32", B: 1, P: 64, C: 320, groups: 32 },
  { dtype: "f32", B: 3, P: 97, C: 30, groups: 3 },
  { dtype: "f32", B: 2, P: 5, C: 7, groups: 7 },
  { dtype: "f32", B: 1, P: 31, C: 9, groups: 3 },
] as const;

describeOnEveryAdapter(
  "group-norm, in the form for GPUs",
  (getDevice) => {
    const inParts = (t: Tensor) => ({ ...t, attrs: { ...t.attrs, atOnce: false } });

    it("takes one dispatch for few positions", async () => {
      const { normals } = random(25);
      for (const { dtype, ...sizes } of FEW) {
        const { B, P, C, groups } = sizes;
        const x = rounded(normals(B * P * C, 2, 50), dtype);
        const weights = { weight: normals(C), bias: normals(C) };
        const [weight, bias] = [tensor(weights.weight, [C]), tensor(weights.bias, [C])];
        const y = groupNorm(tensor(x, [B, P, C], dtype), groups, weight, bias);
        assert.deepEqual(kernels(getDevice(), { y }), ["group-norm"]);
        const results = await runAll(getDevice(), { y });
        const label = `[${B}, ${P}, ${C}]/${groups}`;
        close(results.y!, groupNormReference(x, sizes, weights), { dtype, magnitude: 50, label });
      }
    });

    for (const [dtype, form, names] of [
      ["f16", (t: Tensor) => t, ["group-norm"]],
      ["f32", inParts, ["group-norm-stats", "group-norm-merge", "group-norm-apply"]],
    ] as const) {
      it(`joins channels as it reads them, and leaves them joined: ${names.join(", ")}`, async () => {
        for (const split of [4, 12, 20]) {
          const r = random(26);
          const a = normalOperand(r, [2, 33, split], dtype);
          const b = normalOperand(r, [2, 33, 24 - split], dtype);
          const joined = concat([a.t, b.t], -1);
          const outputs = { y: form(groupNorm(joined, 4)), joined };
          assert.deepEqual(kernels(getDevice(), outputs), names);
          const results = await runAll(getDevice(), outputs);
          const x = concatReference(a.v, b.v, 2).data;
          assert.deepEqual([...results.joined!], [...x], `split at ${split}`);
          const sizes = { B: 2, P: 33, C: 24, groups: 4 };
          const expected = groupNormReference(Float32Array.from(x), sizes);
          close(results.y!, expected, { dtype, terms: 198, label: `split at ${split}` });
        }
      });
    }

    it("joins no channels off vec4 borders", () => {
      const [a, b] = [3, 5].map((C) => tensor(new Float32Array(2 * C), [1, 2, C]));
      const y = groupNorm(concat([a!, b!], -1), 2);
      assert.deepEqual(kernels(getDevice(), { y }), ["concat", "group-norm"]);
    });

    it("keeps the digits of a group far from zero", async () => {
      const sizes = { B: 1, P: 48 * 48, C: 10, groups: 1 };
      const x = random(23).normals(48 * 48 * 10, 1, 1e3);
      const [ones, zeros] = [1, 0].map((v) => tensor(new Float32Array(10).fill(v), [10]));
      const y = await evaluate(getDevice(), () =>
        groupNorm(tensor(x, [1, 48, 48, 10]), 1, ones, zeros),
      );
      close(y, groupNormReference(x, sizes), { dtype: "f32", magnitude: 1e3 });
    });
  },
  { software: false, bake: false },
);
