import assert from "node:assert/strict";
import { embedding, evaluate } from "../../engine/index.ts";
import type { Target } from "../../engine/lower/lowering.ts";
import * as reference from "../reference/reduce.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand, operand, parameterOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

describeOnEveryAdapter("embedding", (getDevice) => {
  it("looks up rows of f32 and f16 tables; ids outside of it give zeros", async () => {
    const r = random(14);
    for (const [ids, table] of [
      [[1], [1, 1]],
      [
        [2, 7],
        [13, 8],
      ],
      [
        [3, 5],
        [31, 61],
      ],
    ] as const) {
      for (const dtype of ["f32", "f16"] as const) {
        const i = operand(
          r.ints(
            ids.reduce<number>((a, b) => a * b, 1),
            -2,
            table[0] + 1,
          ),
          ids,
          "i32",
        );
        const w = normalOperand(r, table, dtype);
        const y = await evaluate(getDevice(), () => embedding(i.t, w.t));
        const expected = reference.embedding(i.v, w.v);
        assert.deepEqual(y.shape, expected.shape);
        close(y, expected.data, { dtype, label: `[${ids}] of [${table}]` });
      }
    }
  });

  it("treats the least and the largest integer as outside", async () => {
    const ids = operand([-(2 ** 31), 2 ** 31 - 1, 0], [3], "i32");
    const table = operand([1, 2, 3, 4], [2, 2]);
    const y = await evaluate(getDevice(), () => embedding(ids.t, table.t));
    assert.deepEqual([...y], [0, 0, 0, 0, 1, 2]);
  });

  for (const type of ["f32", "f16", "bf16"] as const) {
    it(`reads a ${type} table in pieces where one binding cannot hold it`, async () => {
      const r = random(15);
      for (const width of [8, 5]) {
        const table = parameterOperand(r.normals(101 * width), [101, width], type);
        const ids = operand(Int32Array.from([0, 100, 3, 50, 51, -1, 101, 7, 64]), [9], "i32");
        const y = await withBindingsOf(1024, () =>
          evaluate(getDevice(), () => embedding(ids.t, table.t)),
        );
        close(y, reference.embedding(ids.v, table.v).data, { dtype: table.t.dtype });
        assert.ok(table.reads.length > 1, "the table was read in one piece");
        assert.ok(table.reads.every(([, length]) => length <= 1024));
      }
    });
  }

  /** Runs `work` as if the device bound this many bytes at the most. */
  async function withBindingsOf<T>(maxBindingSize: number, work: () => Promise<T>): Promise<T> {
    const device = getDevice() as { target: Target };
    const before = device.target;
    device.target = { ...before, maxBindingSize };
    try {
      return await work();
    } finally {
      device.target = before;
    }
  }
});
