import assert from "node:assert/strict";
import { add, div, evaluate, mul, sub } from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import { rowAxes } from "../../shaders/binary.ts";
import { binary } from "../reference/elementwise.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand, type Operand, operand } from "../support/operand.ts";
import { type Random, random } from "../support/random.ts";

const OPS = { add, sub, mul, div };

const SHAPES: readonly (readonly [a: readonly number[], b: readonly number[]])[] = [
  [[1], [1]],
  [
    [5, 7],
    [5, 7],
  ],
  [[2, 3, 5, 8], [8]],
  [
    [2, 3, 5, 7],
    [2, 1, 1, 7],
  ],
  [[3, 1], [13]],
  [
    [1, 4],
    [9, 1],
  ],
  [[2, 3, 4], []],
  [
    [5, 1, 3],
    [1, 4, 1],
  ],
  [
    [2, 1, 3, 1, 2, 5],
    [1, 4, 1, 2, 2, 1],
  ],
  [
    [1, 2, 1, 3, 1, 4],
    [2, 1, 3, 1, 2, 4],
  ],
  [
    [64, 33],
    [64, 1],
  ],
];

describe("rowAxes", () => {
  it("merges the axes of equal shapes into one", () => {
    const shape = [2, 3, 5, 8];
    assert.deepEqual(rowAxes(shape, shape, shape), [{ size: 30, a: 1, b: 1 }]);
  });

  it("walks a row that is added everywhere along one axis", () => {
    assert.deepEqual(rowAxes([2, 3, 8], [2, 3, 8], [1, 1, 8]), [{ size: 6, a: 1, b: 0 }]);
  });
});

describeOnEveryAdapter("binary", (getDevice) => {
  for (const [fn, op] of Object.entries(OPS)) {
    it(`broadcasts ${fn} as NumPy does`, async () => {
      const r = random(3);
      const cases = SHAPES.map(([left, right], i) => {
        const dtype = i % 2 ? "f16" : "f32";
        const sides = [normalOperand(r, left, dtype), awayFromZero(r, right, dtype)] as const;
        return fn !== "div" && i % 3 === 0 ? sides.toReversed() : sides;
      });
      const results = await evaluate(getDevice(), () => cases.map(([a, b]) => op(a!.t, b!.t)));
      cases.forEach(([a, b], i) => {
        const expected = binary(a!.v, b!.v, fn);
        assert.deepEqual(results[i]!.shape, expected.shape);
        const label = `[${a!.v.shape}] [${b!.v.shape}]`;
        close(results[i]!, expected.data, { dtype: a!.t.dtype, label });
      });
    });
  }

  it("takes one tensor as both operands", async () => {
    const { t, v } = normalOperand(random(4), [3, 5], "f32");
    close(
      await evaluate(getDevice(), () => mul(t, t)),
      v.data.map((x) => x * x),
      { dtype: "f32" },
    );
  });
});

/** A divisor that does not blow up the error of what it divides. */
function awayFromZero(r: Random, shape: readonly number[], dtype: "f32" | "f16"): Operand {
  const data = r.normals(numel(shape)).map((v) => v + Math.sign(v));
  return operand(data, shape, dtype);
}
