import assert from "node:assert/strict";
import { evaluate, mean, tensor } from "../../engine/index.ts";
import * as reference from "../reference/reduce.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

type Case = readonly [
  shape: readonly number[],
  dim: readonly number[] | undefined,
  keepdim: boolean,
];

const CASES: readonly Case[] = [
  [[1], [0], false],
  [[5, 7], [1], true],
  [[5, 7], [0], false],
  [[3, 33], [1], false],
  [[2, 3, 5, 8], [1, 2], true],
  [[2, 3, 5, 7], [0, 3], false],
  [[2, 3, 4], undefined, false],
  [[61, 127], [-1], true],
  [[3, 4099], [-1], true],
];

describeOnEveryAdapter("mean", (getDevice) => {
  it("averages over any axes in f32 and f16", async () => {
    const r = random(11);
    const cases = CASES.map(([shape], i) => normalOperand(r, shape, i % 2 ? "f16" : "f32"));
    const build = () => cases.map(({ t }, i) => mean(t, CASES[i]![1], CASES[i]![2]));
    const results = await evaluate(getDevice(), build);
    const symbols = build();
    cases.forEach(({ t, v }, i) => {
      const { attrs, shape } = symbols[i]!;
      const expected = reference.mean(v, attrs.axes as number[], shape);
      const closeness = { dtype: t.dtype, terms: v.data.length / expected.data.length };
      assert.deepEqual(results[i]!.shape, shape);
      // The terms are about 1, their mean is far smaller.
      close(results[i]!, expected.data, { ...closeness, magnitude: 1, label: `[${t.shape}]` });
    });
  });

  it("loses no digits over a million terms of the same sign", async () => {
    const data = new Float32Array(2 ** 20).fill(0.1);
    const y = await evaluate(getDevice(), () => mean(tensor(data, [1024, 1024])));
    assert.ok(Math.abs(y[0]! / data[0]! - 1) < 1e-6, `the mean is ${y[0]}`);
  });
});
