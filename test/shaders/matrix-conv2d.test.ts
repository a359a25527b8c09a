import assert from "node:assert/strict";
import { add, conv2d, interpolate, type Padding, reshape, silu } from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import { type ConvGeometry, conv2d as reference } from "../reference/conv2d.ts";
import { binary, unary } from "../reference/elementwise.ts";
import { interpolate as enlarge } from "../reference/interpolate.ts";
import { values } from "../reference/values.ts";
import { close, rounded } from "../support/close.ts";
import { describeOnMatrixUnits } from "../support/devices.ts";
import { kernels, numbered, runAll } from "../support/fused.ts";
import { normalOperand, parameterOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

interface Case {
  readonly x: readonly [B: number, H: number, W: number, I: number];
  readonly out: number;
  readonly kernel: readonly [number, number];
  readonly stride?: readonly [number, number];
  readonly padding?: Padding;
}

/** Widths around 8 and 16 and the model's 12 and 24, both strides, channels around a panel of 32. */
const CASES: readonly Case[] = [
  { x: [1, 1, 1, 8], out: 1, kernel: [3, 3], padding: [1, 1, 1, 1] },
  { x: [2, 5, 24, 32], out: 33, kernel: [3, 3], padding: [1, 1, 1, 1] },
  { x: [1, 7, 12, 40], out: 16, kernel: [3, 3], padding: [1, 1, 1, 1] },
  { x: [2, 9, 13, 24], out: 20, kernel: [3, 3], stride: [2, 2], padding: [1, 1, 1, 1] },
  { x: [1, 8, 16, 64], out: 8, kernel: [3, 3], stride: [2, 2], padding: [0, 1, 0, 1] },
  { x: [1, 4, 11, 8], out: 9, kernel: [2, 5], stride: [1, 3], padding: [0, 1, 2, 3] },
  { x: [2, 3, 5, 16], out: 5, kernel: [1, 1], stride: [2, 2] },
];

const STORED = ["f32", "f16", "bf16"] as const;

function geometry({ stride, padding }: Case): ConvGeometry {
  return { stride: stride ?? [1, 1], padding: padding ?? [0, 0, 0, 0] };
}

describeOnMatrixUnits("matrix-conv2d", (getDevice) => {
  it("gathers pixels for any kernel, stride and padding", async () => {
    const r = random(71);
    const made = CASES.map((c, i) => {
      const shape = [c.out, c.x[3], ...c.kernel];
      const x = normalOperand(r, c.x, "f16");
      const w = parameterOperand(r.normals(numel(shape)), shape, STORED[i % 3]!, `m.${i}.weight`);
      const b = parameterOperand(r.normals(c.out), [c.out], STORED[i % 3]!, `m.${i}.bias`);
      return { c, x, w, b, y: conv2d(x.t, w.t, b.t, geometry(c)) };
    });
    assert.deepEqual(new Set(kernels(getDevice(), numbered(made))), new Set(["matrix-conv2d"]));
    const results = await runAll(getDevice(), numbered(made));
    made.forEach(({ c, x, w, b }, i) => {
      const seen = values(rounded(w.v.data, "f16"), w.v.shape);
      const expected = reference(x.v, seen, b.v, geometry(c));
      const terms = c.x[3] * numel(c.kernel);
      close(results[i]!, expected.data, { dtype: "f16", terms, label: JSON.stringify(c) });
    });
  });

  it("reads pictures that nearest neighbours would enlarge", async () => {
    const r = random(72);
    const x = normalOperand(r, [2, 3, 4, 8], "f16");
    const w = parameterOperand(r.normals(9 * 40), [5, 8, 3, 3], "f16", "m.weight");
    const padding = [1, 1, 1, 1] as const;
    const sizes = [
      [6, 8],
      [5, 7],
    ] as const;
    const cases = sizes.map((size) => ({
      y: conv2d(interpolate(x.t, { size, mode: "nearest" }), w.t, null, { padding }),
    }));
    assert.deepEqual(new Set(kernels(getDevice(), numbered(cases))), new Set(["matrix-conv2d"]));
    const results = await runAll(getDevice(), numbered(cases));
    sizes.forEach((size, i) => {
      const large = enlarge(x.v, size, { mode: "nearest" });
      const expected = reference(large, w.v, undefined, { stride: [1, 1], padding });
      close(results[i]!, expected.data, { dtype: "f16", terms: 72, label: `${size}` });
    });
  });

  it("adds the slices of a long sum up, then time, activation and residual", async () => {
    const r = random(73);
    const x = normalOperand(r, [2, 4, 4, 512], "f16");
    const w = parameterOperand(r.normals(9 * 12 * 512, 1 / 64), [12, 512, 3, 3], "f16", "m.weight");
    const b = parameterOperand(r.normals(12), [12], "f32", "m.bias");
    const time = normalOperand(r, [2, 12], "f16");
    const skip = normalOperand(r, [2, 4, 4, 12], "f16");
    const padding = [1, 1, 1, 1] as const;
    const h = conv2d(x.t, w.t, b.t, { padding });
    const y = add(silu(add(h, reshape(time.t, [2, 1, 1, 12]))), skip.t);
    assert.deepEqual(kernels(getDevice(), { y }), ["matrix-conv2d", "split-k-sum"]);
    const sum = reference(x.v, w.v, b.v, { stride: [1, 1], padding });
    const timed = binary(sum, values(time.v.data, [2, 1, 1, 12]), "add");
    const expected = binary(unary(timed, "silu"), skip.v, "add");
    const results = await runAll(getDevice(), { y });
    close(results.y!, expected.data, { dtype: "f16", terms: 9 * 512 });
  });
});
