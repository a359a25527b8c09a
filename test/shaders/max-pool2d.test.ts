import { type MaxPool2dOptions, maxPool2d, mean } from "../../engine/index.ts";
import { maxPool2d as reference } from "../reference/pool.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { numbered, runAll } from "../support/fused.ts";
import { normalOperand, operand } from "../support/operand.ts";
import { random } from "../support/random.ts";

interface Case extends MaxPool2dOptions {
  readonly x: readonly [B: number, H: number, W: number, C: number];
  readonly kernel: number | readonly [number, number];
}

const CASES: readonly Case[] = [
  { x: [1, 1, 1, 1], kernel: 1 },
  { x: [2, 3, 5, 7], kernel: 3 },
  { x: [1, 9, 7, 8], kernel: 3, stride: 2, padding: [0, 1, 0, 1] },
  { x: [2, 8, 5, 6], kernel: 3, stride: 2, padding: 1 },
  { x: [1, 4, 11, 5], kernel: [2, 5], stride: [1, 3], padding: [0, 1, 2, 3] },
  { x: [3, 2, 1, 3], kernel: [1, 3], padding: [0, 0, 2, 1] },
  { x: [1, 17, 6, 61], kernel: [4, 2], stride: 1, padding: [3, 2, 1, 0] },
];

describeOnEveryAdapter("max_pool2d", (getDevice) => {
  for (const dtype of ["f32", "f16"] as const) {
    it(`gives the largest ${dtype} value of each window, and none from outside`, async () => {
      const r = random(12);
      const made = CASES.map(({ x, kernel, ...options }) => {
        // Below zero, so that a zero from outside would show.
        const values = r.normals(x.reduce((a, b) => a * b)).map((v) => -1 - Math.abs(v));
        const { t, v } = operand(values, x, dtype);
        const y = maxPool2d(t, kernel, options);
        return { y, expected: reference(v, y.attrs as never) };
      });
      const results = await runAll(getDevice(), numbered(made));
      made.forEach(({ y, expected }, i) => {
        close(results[i]!, expected.data, { dtype, label: `[${y.shape}] of case ${i}` });
      });
    });
  }

  it("leaves zeros behind the last channel", async () => {
    // The mean of a row adds up whole vec4s.
    const { t, v } = normalOperand(random(13), [1, 4, 4, 3], "f32");
    const y = maxPool2d(t, 2);
    const results = await runAll(getDevice(), { y: mean(y, -1) });
    const pooled = reference(v, y.attrs as never).data;
    const means = [0, 1, 2, 3].map(
      (i) => (pooled[3 * i]! + pooled[3 * i + 1]! + pooled[3 * i + 2]!) / 3,
    );
    close(results.y!, means, { dtype: "f32", terms: 3, magnitude: 4 });
  });
});
