import { evaluate, layerNorm, tensor } from "../../engine/index.ts";
import { layerNormReference } from "../reference/norm.ts";
import { close, rounded } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { random } from "../support/random.ts";

/** Channels around the sizes at which a row is shared out to more threads, and SD2's. */
const CASES = [
  [1, 1],
  [3, 2],
  [5, 31],
  [70, 32],
  [2, 33],
  [7, 257],
  [77, 320],
  [2, 4095],
  [1, 4097],
] as const;

describeOnEveryAdapter("layer-norm", (getDevice) => {
  for (const [dtype, alone] of [
    ["f32", true],
    ["f16", true],
    ["f32", false],
  ] as const) {
    const threads = alone ? "one thread" : "many threads";
    it(`gives every ${dtype} row mean 0 and variance 1 by ${threads}, then weight and bias`, async () => {
      const { normals } = random(11);
      for (const [rows, C] of CASES) {
        const x = rounded(normals(rows * C, 2, 0.5), dtype);
        const weight = normals(C);
        const bias = normals(C);
        const y = await evaluate(getDevice(), () => {
          const t = layerNorm(
            tensor(x, [rows, C], dtype),
            [C],
            tensor(weight, [C]),
            tensor(bias, [C]),
          );
          return { ...t, attrs: { ...t.attrs, alone } };
        });
        const expected = layerNormReference(x, C, { weight, bias });
        close(y, expected, { dtype, terms: C, label: `[${rows}, ${C}]` });
      }
    });
  }

  it("needs no weights, and takes eps", async () => {
    const x = random(12).normals(3 * 50, 1e-3);
    const y = await evaluate(getDevice(), () =>
      layerNorm(tensor(x, [3, 50]), [50], null, null, 1e-4),
    );
    close(y, layerNormReference(x, 50, { eps: 1e-4 }), { dtype: "f32", terms: 50 });
  });

  it("keeps the digits of rows far from zero", async () => {
    const x = random(13).normals(4 * 320, 1, 1e3);
    const y = await evaluate(getDevice(), () => layerNorm(tensor(x, [4, 320]), [320]));
    // The mean of 1000 is itself rounded to a step of 2^-24 · 1000.
    close(y, layerNormReference(x, 320), { dtype: "f32", magnitude: 1e3 });
  });
});
