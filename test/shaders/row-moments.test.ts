import assert from "node:assert/strict";
import { add, gelu, layerNorm, linear, mul, reshape, split } from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { chooseTiling, tileColumns, tileRows } from "../../shaders/tile.ts";
import { binary, unary } from "../reference/elementwise.ts";
import { slice } from "../reference/layout.ts";
import * as reference from "../reference/linear.ts";
import { layerNormReference } from "../reference/norm.ts";
import { type Values, values } from "../reference/values.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { kernels, runAll } from "../support/fused.ts";
import { normalOperand, type Operand, operand, parameterOperand } from "../support/operand.ts";
import { type Random, random } from "../support/random.ts";

const EPS = 1e-5;

/** A layer norm's weights and those of the linear after it, [N, K], each as a file has them. */
function layers(r: Random, N: number, K: number, bias = true) {
  const parameter = (shape: number[], deviation: number, name: string) =>
    parameterOperand(r.normals(numel(shape), deviation), shape, "f16", name);
  return {
    gamma: parameter([K], 1, "norm.weight"),
    beta: parameter([K], 1, "norm.bias"),
    weight: parameter([N, K], 1 / Math.sqrt(K), "fc.weight"),
    bias: bias ? parameter([N], 1, "fc.bias") : undefined,
  };
}

type Layers = ReturnType<typeof layers>;

function project(x: Tensor, { gamma, beta, weight, bias }: Layers): Tensor {
  const K = weight.v.shape[1]!;
  return linear(layerNorm(x, [K], gamma.t, beta.t, EPS), weight.t, bias?.t);
}

function projectReference(x: Values, { gamma, beta, weight, bias }: Layers): Values {
  const scale = { weight: gamma.v.data, bias: beta.v.data, eps: EPS };
  const normed = layerNormReference(x.data, x.shape.at(-1)!, scale);
  return reference.linear(values(normed, x.shape), weight.v, bias?.v);
}

/** Rows far from zero, each elsewhere. */
function rowsFarAway(r: Random, shape: readonly number[], dtype: "f32" | "f16"): Operand {
  const K = shape.at(-1)!;
  const data = r.normals(numel(shape)).map((v, i) => v + 5 * (Math.floor(i / K) % 7) - 15);
  return operand(data, shape, dtype);
}

describeOnEveryAdapter(
  "row-moments",
  (getDevice) => {
    for (const dtype of ["f32", "f16"] as const) {
      const closeness = { dtype, roundings: dtype === "f16" ? 3 : 1, magnitude: 20 };

      it(`normalise ${dtype} rows as they are multiplied`, async () => {
        const r = random(41);
        for (const [M, K, N] of [
          [1, 1, 3],
          [7, 33, 5],
          [2, 320, 8],
          [33, 60, 70],
        ] as const) {
          const x = rowsFarAway(r, [M, K], dtype);
          const both = layers(r, N, K, N !== 5);
          const y = project(x.t, both);
          assert.deepEqual(kernels(getDevice(), { y }), ["row-moments", "gemm"]);
          const results = await runAll(getDevice(), { y });
          const label = `[${M}, ${K}] to ${N}`;
          close(results.y!, projectReference(x.v, both).data, { ...closeness, terms: K, label });
        }
      });

      // So many rows want large tiles; the second width ends within a tile.
      const [rows, columns, M, width] = dtype === "f32" ? [128, 64, 16893, 64] : [32, 64, 4223, 71];
      it(`come from ${dtype} tiles of ${rows}x${columns}, whose residual they have in them`, async () => {
        const r = random(42);
        const x = normalOperand(r, [M, 8], dtype);
        const far = rowsFarAway(r, [M, width], dtype);
        const first = parameterOperand(r.normals(8 * width), [width, 8], dtype, "in.weight");
        const both = layers(r, 6, width);
        const { tile } = chooseTiling(
          { batch: 1, M, N: width, K: 8, gated: false },
          getDevice().target,
        );
        assert.deepEqual([tileRows(tile), tileColumns(tile)], [rows, columns]);
        const h = add(linear(x.t, first.t), far.t);
        const y = project(reshape(h, [1, M, width]), both);
        assert.deepEqual(kernels(getDevice(), { y }), ["gemm", "gemm"]);
        const results = await runAll(getDevice(), { y, h });
        // From what was stored: the norm of a rounded row is another.
        const stored = values(results.h!, [M, width]);
        const expected = projectReference(stored, both);
        close(results.y!, expected.data, { ...closeness, terms: width, label: "y" });
        const sum = binary(reference.linear(x.v, first.v), far.v, "add");
        close(results.h!, sum.data, { dtype, terms: 9, magnitude: 40, label: "h" });
      });
    }

    it("go into both halves of a gated product", async () => {
      const r = random(43);
      const x = rowsFarAway(r, [9, 36], "f16");
      const both = layers(r, 24, 36);
      const [value, gate] = split(project(x.t, both), 12, -1);
      const y = mul(value!, gelu(gate!));
      assert.deepEqual(kernels(getDevice(), { y }), ["row-moments", "gemm"]);
      const results = await runAll(getDevice(), { y });
      const whole = projectReference(x.v, both);
      const half = (from: number) => slice(whole, 1, from, 12);
      const expected = binary(half(0), unary(half(12), "gelu"), "mul");
      close(results.y!, expected.data, { dtype: "f16", terms: 36, roundings: 3, magnitude: 40 });
    });

    it("are computed apart where the product before is in slices", () => {
      const r = random(44);
      const x = normalOperand(r, [3, 4096], "f16");
      const first = parameterOperand(r.normals(12 * 4096), [12, 4096], "f16", "in.weight");
      const y = project(linear(x.t, first.t), layers(r, 8, 12));
      const names = ["gemm", "split-k-sum", "row-moments", "gemm"];
      assert.deepEqual(kernels(getDevice(), { y }), names);
    });
  },
  { software: false, bake: false },
);
