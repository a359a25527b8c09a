import assert from "node:assert/strict";
import { evaluate, softmax, tensor } from "../../engine/index.ts";
import * as reference from "../reference/reduce.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

const CASES: readonly (readonly [shape: readonly number[], dim: number])[] = [
  [[1], 0],
  [[5, 7], 1],
  [[5, 7], 0],
  [[130, 32], -1],
  [[2, 65, 2, 3], 1],
  [[3, 257], -1],
  [[2, 4099], -1],
];

describeOnEveryAdapter("softmax", (getDevice) => {
  it("sums up to one along any axis in f32 and f16", async () => {
    const r = random(12);
    const cases = CASES.map(([shape], i) => normalOperand(r, shape, i % 2 ? "f16" : "f32", 3));
    const results = await evaluate(getDevice(), () =>
      cases.map(({ t }, i) => softmax(t, CASES[i]![1])),
    );
    cases.forEach(({ t, v }, i) => {
      const dim = (CASES[i]![1] + t.shape.length) % t.shape.length;
      const expected = reference.softmax(v, dim);
      close(results[i]!, expected.data, {
        dtype: t.dtype,
        terms: t.shape[dim]!,
        label: `[${t.shape}]`,
      });
    });
  });

  it("keeps rows with one huge value finite, and rows of huge values even", async () => {
    for (const channels of [5, 257]) {
      const spike = new Float32Array(channels).fill(-3e38);
      spike[3] = 3e38;
      const flat = new Float32Array(channels).fill(1e30);
      const low = new Float32Array(channels).fill(-3e38);
      const x = [...spike, ...flat, ...low];
      const y = await evaluate(getDevice(), () => softmax(tensor(x, [3, channels])));
      const even = new Array<number>(2 * channels).fill(1 / channels);
      const one = Array.from(spike, (v) => (v > 0 ? 1 : 0));
      close(y, [...one, ...even], { dtype: "f32", terms: channels });
    }
  });

  it("does not see what is added to a whole row", async () => {
    const { v } = normalOperand(random(13), [3, 100], "f16");
    const build = (shift: number) =>
      softmax(
        tensor(
          v.data.map((x) => x + shift),
          [3, 100],
        ),
      );
    const [a, b] = await evaluate(getDevice(), () => [build(0), build(64)]);
    // 64 + x drops the last bits of x: x was a half, so up to 2^-18 · 64 stays exact.
    assert.ok(a!.every((share, i) => Math.abs(share / b![i]! - 1) < 1e-4));
  });
});
