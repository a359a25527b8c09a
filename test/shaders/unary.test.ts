import assert from "node:assert/strict";
import type { Tensor } from "../../engine/index.ts";
import {
  add,
  div,
  evaluate,
  gelu,
  mean,
  mul,
  relu,
  sigmoid,
  silu,
  sub,
  tensor,
} from "../../engine/index.ts";
import { UNARY, unary } from "../reference/elementwise.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand, operand } from "../support/operand.ts";
import { random } from "../support/random.ts";

const OPS: Readonly<Record<string, (x: Tensor) => Tensor>> = {
  silu,
  gelu: (x) => gelu(x),
  gelu_tanh: (x) => gelu(x, { approximate: "tanh" }),
  gelu_quick: (x) => gelu(x, { approximate: "quick" }),
  sigmoid,
  relu,
  scalar_add: (x) => add(x, 1.25),
  scalar_sub: (x) => sub(x, 1.25),
  scalar_mul: (x) => mul(x, 1.25),
  scalar_div: (x) => div(x, 1.25),
};

const SHAPES = [[1], [3, 5], [7, 2, 64], [5, 33], [1, 61]];
const DTYPES = ["f32", "f16"] as const;

/** -12..12 in steps of 1/512. */
const LINE = Float32Array.from({ length: 24 * 512 + 1 }, (_, i) => i / 512 - 12);

describeOnEveryAdapter("unary", (getDevice) => {
  for (const [fn, op] of Object.entries(OPS)) {
    it(`computes ${fn} in f32 and f16`, async () => {
      const r = random(2);
      const cases = SHAPES.map((shape, i) => normalOperand(r, shape, DTYPES[i % 2]!, 3));
      const results = await evaluate(getDevice(), () => cases.map(({ t }) => op(t)));
      cases.forEach(({ t, v }, i) => {
        const { dtype, shape } = t;
        close(results[i]!, unary(v, fn, 1.25).data, { dtype, label: `${dtype} [${shape}]` });
      });
    });
  }

  it("has gelu by erf to 2e-7 beside the rounding of the result, and 1e-5 of itself in the tail", async () => {
    const { t, v } = operand(LINE, [LINE.length]);
    const y = await evaluate(getDevice(), () => gelu(t));
    for (let i = 0; i < LINE.length; i++) {
      const exact = UNARY.gelu!(v.data[i]!, 0);
      const error = Math.abs(y[i]! - exact);
      assert.ok(error <= 2e-7 + Math.abs(exact) * 2 ** -23, `gelu(${LINE[i]}) is off by ${error}`);
      const inTail = LINE[i]! < -1 && LINE[i]! > -8;
      assert.ok(
        !inTail || error <= 1e-5 * -exact,
        `gelu(${LINE[i]}) is off by ${error / -exact} of itself`,
      );
    }
  });

  for (const fn of ["silu", "gelu", "gelu_tanh", "gelu_quick", "sigmoid", "relu"]) {
    it(`keeps ${fn} of huge values finite`, async () => {
      const x = [-3e38, -1e30, -1e10, -89, -20, 20, 89, 1e10, 1e30, 3e38];
      const y = await evaluate(getDevice(), () => OPS[fn]!(tensor(x, [10])));
      const limit = (v: number) => (v < 0 ? 0 : fn === "sigmoid" ? 1 : v);
      x.forEach((v, i) => {
        const error = Math.abs(y[i]! - limit(v));
        assert.ok(error <= 1e-6 * Math.max(1, Math.abs(limit(v))), `${fn}(${v}) is ${y[i]}`);
      });
    });
  }

  it("leaves zeros behind the last channel", async () => {
    // The mean of a row adds up whole vec4s.
    const x = tensor([1, 2, 3], [3, 1]);
    const y = await evaluate(getDevice(), () => mean(add(sigmoid(x), 1), 1, true));
    const expected = [1, 2, 3].map((v) => 1 + UNARY.sigmoid!(v, 0));
    close(y, expected, { dtype: "f32" });
  });
});
