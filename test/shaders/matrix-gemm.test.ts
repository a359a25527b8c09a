import assert from "node:assert/strict";
import { add, gelu, linear, matmul, mul, reshape, silu, slice, split } from "../../engine/index.ts";
import { numel, type Shape } from "../../engine/shape.ts";
import { binary, unary } from "../reference/elementwise.ts";
import * as reference from "../reference/linear.ts";
import { type Values, values } from "../reference/values.ts";
import { close, rounded } from "../support/close.ts";
import { describeOnMatrixUnits } from "../support/devices.ts";
import { kernels, numbered, runAll } from "../support/fused.ts";
import { normalOperand, parameterOperand } from "../support/operand.ts";
import { type Random, random } from "../support/random.ts";

/** Around fragments of 8 and 16, panels of 32, and tiles of 32 and 64 rows and columns. */
const SHAPES: readonly (readonly [lead: Shape, K: number, N: number])[] = [
  [[1], 8, 1],
  [[7], 24, 5],
  [[9], 32, 65],
  [[2, 17], 64, 63],
  [[33], 40, 36],
  [[3, 5, 5], 96, 130],
  [[65], 8, 17],
];

const STORED = ["f32", "f16", "bf16"] as const;

const half = (v: Values) => values(rounded(v.data, "f16"), v.shape);

function weight(r: Random, shape: Shape, name: string, type: "f32" | "f16" | "bf16" = "f16") {
  return parameterOperand(r.normals(numel(shape)), shape, type, name);
}

/** Columns from..to-1 of every row. */
function columns({ data, shape }: Values, from: number, to: number): Values {
  const width = shape.at(-1)!;
  const cut = Array.from({ length: data.length / width }, (_, row) => [
    ...data.slice(row * width + from, row * width + to),
  ]);
  return values(cut.flat(), [...shape.slice(0, -1), to - from]);
}

describeOnMatrixUnits("matrix-gemm", (getDevice) => {
  it("multiplies rows by parameters of every type, with bias and without", async () => {
    const r = random(51);
    const cases = SHAPES.map(([lead, K, N], i) => {
      const x = normalOperand(r, [...lead, K], "f16");
      const w = weight(r, [N, K], `m.${i}.weight`, STORED[i % 3]!);
      const b = i % 2 === 0 ? weight(r, [N], `m.${i}.bias`, STORED[i % 3]!) : undefined;
      return { x, w, b, K, y: linear(x.t, w.t, b?.t) };
    });
    assert.deepEqual(new Set(kernels(getDevice(), numbered(cases))), new Set(["matrix-gemm"]));
    const results = await runAll(getDevice(), numbered(cases));
    cases.forEach(({ x, w, b, K }, i) => {
      const expected = reference.linear(x.v, half(w.v), b?.v);
      const label = `[${x.v.shape}] · [${w.v.shape}]ᵀ of ${STORED[i % 3]}`;
      close(results[i]!, expected.data, { dtype: "f16", terms: K, label });
    });
  });

  it("finishes sums with time, activation and residual, and gates", async () => {
    const r = random(52);
    const x = normalOperand(r, [2, 11, 40], "f16");
    const w = weight(r, [68, 40], "m.weight");
    const b = weight(r, [68], "m.bias", "f32");
    const times = normalOperand(r, [2, 80], "f16");
    const skip = normalOperand(r, [2, 11, 68], "f16");
    const sum = linear(x.t, w.t, b.t);
    const time = reshape(slice(times.t, -1, 4, 72), [2, 1, 68]);
    const finished = add(silu(add(sum, time)), skip.t);
    const [value, gate] = split(linear(x.t, w.t, b.t), 34, -1);
    const wide = weight(r, [72, 40], "n.weight");
    const [left, right] = split(linear(x.t, wide.t), 36, -1);
    const cases = { finished, gated: mul(left!, gelu(right!)), apart: mul(value!, gelu(gate!)) };

    const plain = reference.linear(x.v, w.v, b.v);
    const timed = binary(plain, values(columns(times.v, 4, 72).data, [2, 1, 68]), "add");
    const both = reference.linear(x.v, wide.v);
    const gates = (v: Values, h: number) =>
      binary(columns(v, 0, h), unary(columns(v, h, 2 * h), "gelu"), "mul");
    assert.deepEqual(kernels(getDevice(), { finished }), ["matrix-gemm"]);
    assert.deepEqual(kernels(getDevice(), { gated: cases.gated }), ["matrix-gemm"]);
    const results = await runAll(getDevice(), cases);
    const dtype = "f16";
    const expected = binary(unary(timed, "silu"), skip.v, "add");
    close(results.finished!, expected.data, { dtype, terms: 40, label: "finished" });
    close(results.gated!, gates(both, 36).data, { dtype, terms: 40, label: "gated" });
    const roundings = 3;
    close(results.apart!, gates(plain, 34).data, { dtype, terms: 40, roundings, label: "apart" });
  });

  it("multiplies activations that lie in whole fragments, batch by batch", async () => {
    const r = random(53);
    const shapes = [
      [[3, 9, 32], [3, 32, 48], "matrix-gemm"],
      [[2, 1, 5, 64], [1, 3, 64, 16], "matrix-gemm"],
      [[7, 32], [32, 20], "plane-gemm"],
      [[7, 40], [40, 16], "plane-gemm"],
    ] as const;
    const cases = shapes.map(([left, right, kernel]) => {
      const a = normalOperand(r, left, "f16");
      const b = normalOperand(r, right, "f16");
      return { a, b, kernel, y: matmul(a.t, b.t) };
    });
    const results = await runAll(getDevice(), numbered(cases));
    cases.forEach(({ a, b, kernel, y }, i) => {
      const label = `[${a.v.shape}] [${b.v.shape}]`;
      assert.equal(kernels(getDevice(), { y }).at(-1), kernel, label);
      const terms = a.v.shape.at(-1)!;
      close(results[i]!, reference.matmul(a.v, b.v).data, { dtype: "f16", terms, label });
    });
  });

  it("reads rows in place out of a slice at an eighth, and copies others", async () => {
    const r = random(54);
    const x = normalOperand(r, [2, 5, 48], "f16");
    const w = weight(r, [6, 16], "m.weight");
    const at = (from: number) => linear(slice(x.t, -1, from, from + 16), w.t);
    const results = await runAll(getDevice(), { even: at(8), odd: at(12) });
    assert.deepEqual(kernels(getDevice(), { y: at(8) }), ["matrix-gemm"]);
    assert.deepEqual(kernels(getDevice(), { y: at(12) }), ["copy", "matrix-gemm"]);
    for (const [name, from] of [
      ["even", 8],
      ["odd", 12],
    ] as const) {
      const expected = reference.linear(columns(x.v, from, from + 16), w.v);
      close(results[name]!, expected.data, { dtype: "f16", terms: 16, label: name });
    }
  });

  it("adds the slices of a long sum up before bias and activation", async () => {
    const r = random(55);
    const x = normalOperand(r, [2, 3, 4096], "f16");
    const w = parameterOperand(r.normals(9 * 4096, 1 / 64), [9, 4096], "f16", "m.weight");
    const b = weight(r, [9], "m.bias", "f32");
    const y = silu(linear(x.t, w.t, b.t));
    assert.deepEqual(kernels(getDevice(), { y }), ["matrix-gemm", "split-k-sum"]);
    const expected = unary(reference.linear(x.v, w.v, b.v), "silu");
    const results = await runAll(getDevice(), { y });
    close(results.y!, expected.data, { dtype: "f16", terms: 4096 });
  });

  it("leaves to the other kernels what is no multiple of eight halves", () => {
    const r = random(56);
    const narrow = linear(normalOperand(r, [4, 12], "f16").t, weight(r, [4, 12], "a").t);
    const single = linear(normalOperand(r, [4, 16], "f32").t, weight(r, [4, 16], "b").t);
    for (const y of [narrow, single])
      assert.deepEqual(kernels(getDevice(), { y }), ["planes", "plane-gemm"]);
  });
});
