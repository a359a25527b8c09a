import assert from "node:assert/strict";
import {
  cast,
  evaluate,
  expand,
  mul,
  pad,
  permute,
  reshape,
  slice,
  split,
  type Tensor,
  transpose,
} from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import * as reference from "../reference/layout.ts";
import type { Values } from "../reference/values.ts";
import { close, rounded } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand, type Operand, operand, parameterOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

type Move = readonly [
  shape: readonly number[],
  op: (t: Tensor) => Tensor,
  on: (v: Values) => Values,
];

const MOVES: Readonly<Record<string, readonly Move[]>> = {
  permute: [
    [[3, 5], (t) => transpose(t, 0, 1), (v) => reference.permute(v, [1, 0])],
    [[2, 3, 4, 8], (t) => permute(t, [0, 2, 1, 3]), (v) => reference.permute(v, [0, 2, 1, 3])],
    [[2, 7, 1, 13], (t) => permute(t, [3, 0, 2, 1]), (v) => reference.permute(v, [3, 0, 2, 1])],
    [
      [2, 3, 1, 2, 3, 5],
      (t) => permute(t, [5, 3, 1, 0, 2, 4]),
      (v) => reference.permute(v, [5, 3, 1, 0, 2, 4]),
    ],
  ],
  slice: [
    [[7], (t) => slice(t, 0, 3, 6), (v) => reference.slice(v, 0, 3, 3)],
    [[5, 12], (t) => slice(t, 1, 4, 8), (v) => reference.slice(v, 1, 4, 4)],
    [[5, 13], (t) => slice(t, -1, 5), (v) => reference.slice(v, 1, 5, 8)],
    [[6, 3, 7], (t) => slice(t, 0, -2), (v) => reference.slice(v, 0, 4, 2)],
    [[2, 9, 8], (t) => split(t, [2, 3, 4], 1)[2]!, (v) => reference.slice(v, 1, 5, 4)],
  ],
  expand: [
    [[1], (t) => expand(t, [3, 5]), (v) => reference.expand(v, [3, 5])],
    [[3, 1, 7], (t) => expand(t, [2, 3, 4, 7]), (v) => reference.expand(v, [2, 3, 4, 7])],
    [[5, 1], (t) => expand(t, [5, 9]), (v) => reference.expand(v, [5, 9])],
  ],
  pad: [
    [[3], (t) => pad(t, [2, 3], -1), (v) => reference.pad(v, [8], [2], -1)],
    [[2, 5], (t) => pad(t, [0, 2], 1.5), (v) => reference.pad(v, [2, 7], [0, 0], 1.5)],
    [[2, 3, 8], (t) => pad(t, [0, 0, 1, 2]), (v) => reference.pad(v, [2, 6, 8], [0, 1, 0], 0)],
    [
      [2, 3, 4, 5],
      (t) => pad(t, [1, 1, 0, 1, 1, 0]),
      (v) => reference.pad(v, [2, 4, 5, 7], [0, 1, 0, 1], 0),
    ],
  ],
};

describeOnEveryAdapter("copy", (getDevice) => {
  for (const [name, moves] of Object.entries(MOVES)) {
    it(`moves f32 and f16 by ${name}`, async () => {
      const r = random(8);
      const cases = moves.map(([shape], i) => normalOperand(r, shape, i % 2 ? "f16" : "f32"));
      await check(moves, cases);
    });
  }

  it("moves integers that no float can hold", async () => {
    const moves = Object.values(MOVES).map((list) => list[1]!);
    const r = random(9);
    const cases = moves.map(([shape]) =>
      operand(r.ints(numel(shape), 2 ** 24, 2 ** 31 - 1), shape, "i32"),
    );
    const whole = moves.map(
      ([shape, op, on], i): Move =>
        // 1.5 cannot fill up a row of integers.
        i === 3
          ? [shape, (t) => pad(t, [0, 2], 3), (v) => reference.pad(v, [2, 7], [0, 0], 3)]
          : [shape, op, on],
    );
    await check(whole, cases);
  });

  it("casts between f32, f16 and i32, and clamps to the halves", async () => {
    const data = [0, 1.0004, -2.7, 65504, 1e6, -1e6, 1e-7];
    const { t } = operand(data, [7]);
    const results = await evaluate(getDevice(), () => ({
      half: cast(t, "f16"),
      back: cast(cast(t, "f16"), "f32"),
      whole: cast(t, "i32"),
      real: cast(operand([3, -4], [2], "i32").t, "f32"),
    }));
    const halves = rounded(data, "f16").map((v) => Math.min(Math.max(v, -65504), 65504));
    close(results.half, halves, { dtype: "f16" });
    close(results.back, halves, { dtype: "f16" });
    assert.deepEqual([...results.whole], [0, 1, -2, 65504, 1e6, -1e6, 0]);
    assert.deepEqual([...results.real], [3, -4]);
  });

  for (const type of ["f32", "f16", "bf16"] as const) {
    it(`reads ${type} parameters, with rows on vec4 borders and off them`, async () => {
      const r = random(10);
      const cases = [[4, 8], [3, 5], [1, 7], [7], [2, 3, 3]].map((shape) =>
        parameterOperand(r.normals(numel(shape)), shape, type),
      );
      const results = await evaluate(getDevice(), () => [
        ...cases.map(({ t }) => mul(t, 2)),
        ...cases.map(({ t }) => mul(reshape(t, [-1]), 2)),
        ...cases.map(({ t }) => mul(transpose(t, 0, -1), 2)),
        ...cases.map(({ t }) => cast(t, "f16")),
      ]);
      cases.forEach(({ t, v }, i) => {
        const [plain, flat, turned, half] = [0, 1, 2, 3].map((n) => results[i + n * cases.length]!);
        const { dtype, shape } = t;
        const doubled = v.data.map((x) => 2 * x);
        close(plain!, doubled, { dtype, label: `[${shape}]` });
        close(flat!, doubled, { dtype, label: `flat [${shape}]` });
        close(turned!, turn({ shape, data: doubled }).data, { dtype, label: `turned [${shape}]` });
        close(half!, v.data, { dtype: "f16", label: `half [${shape}]` });
      });
    });
  }

  async function check(moves: readonly Move[], cases: readonly Operand[]): Promise<void> {
    const results = await evaluate(getDevice(), () => cases.map(({ t }, i) => moves[i]![1](t)));
    cases.forEach(({ t, v }, i) => {
      const expected = moves[i]![2](v);
      assert.deepEqual(results[i]!.shape, expected.shape);
      close(results[i]!, expected.data, { dtype: t.dtype, label: `${t.dtype} [${t.shape}]` });
    });
  }
});

function turn(v: Values): Values {
  const last = v.shape.length - 1;
  const axes = v.shape.map((_, axis) => axis);
  return reference.permute(v, axes.with(0, last).with(last, 0));
}
