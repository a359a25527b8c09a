import { evaluate, groupNorm, silu, tensor } from "../../engine/index.ts";
import { groupNormReference } from "../reference/norm.ts";
import { close, rounded } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
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

  it("finds the same moments by one workgroup a group", async () => {
    for (const sizes of CASES) {
      const { B, P, C, groups } = sizes;
      const x = random(25).normals(B * P * C, 2, 50);
      const y = await evaluate(getDevice(), () => {
        const t = groupNorm(tensor(x, [B, P, C]), groups);
        return { ...t, attrs: { ...t.attrs, atOnce: true } };
      });
      const label = `[${B}, ${P}, ${C}]/${groups}`;
      close(y, groupNormReference(x, sizes), { dtype: "f32", magnitude: 50, label });
    }
  });

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
