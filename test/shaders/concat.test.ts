import assert from "node:assert/strict";
import { concat, evaluate } from "../../engine/index.ts";
import * as reference from "../reference/layout.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand, operand } from "../support/operand.ts";
import { random } from "../support/random.ts";

const SHAPES = [[1], [8], [3, 5], [4, 8], [2, 3, 7], [2, 1, 3, 2, 5]];

describeOnEveryAdapter("concat", (getDevice) => {
  for (const dtype of ["f32", "f16"] as const) {
    it(`joins ${dtype} along any axis, on vec4 borders and off them`, async () => {
      const r = random(dtype === "f32" ? 5 : 6);
      const cases = SHAPES.flatMap((shape) =>
        shape.map((_, axis) => {
          const a = normalOperand(r, shape, dtype);
          return { axis, a, b: normalOperand(r, shape.with(axis, r.size(9)), dtype) };
        }),
      );
      const joined = () => cases.map(({ a, b, axis }) => concat([a.t, b.t], axis));
      const results = await evaluate(getDevice(), joined);
      cases.forEach(({ a, b, axis }, i) => {
        const expected = reference.concat(a.v, b.v, axis);
        assert.deepEqual(results[i]!.shape, expected.shape);
        const label = `[${a.v.shape}] [${b.v.shape}] along ${axis}`;
        close(results[i]!, expected.data, { dtype, label });
      });
    });
  }

  it("joins integers that no float can hold", async () => {
    const r = random(6);
    const a = operand(r.ints(6, -(2 ** 31), 2 ** 31 - 1), [2, 3], "i32");
    const b = operand(r.ints(10, -(2 ** 31), 2 ** 31 - 1), [2, 5], "i32");
    const y = await evaluate(getDevice(), () => concat([a.t, b.t], 1));
    assert.deepEqual([...y], [...reference.concat(a.v, b.v, 1).data]);
  });

  it("joins more than two, and a tensor with itself", async () => {
    const { t, v } = operand([1, 2, 3], [1, 3]);
    const y = await evaluate(getDevice(), () => concat([t, t, t], -1));
    assert.deepEqual([...y], [...v.data, ...v.data, ...v.data]);
  });
});
