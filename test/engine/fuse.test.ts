import assert from "node:assert/strict";
import { FUSIONS, fuse } from "../../engine/fuse.ts";
import type { Outputs } from "../../engine/graph.ts";
import {
  add,
  conv2d,
  gelu,
  groupNorm,
  interpolate,
  layerNorm,
  linear,
  mul,
  relu,
  reshape,
  sigmoid,
  silu,
  slice,
  split,
  type Tensor,
} from "../../engine/index.ts";
import { lower } from "../../engine/program.ts";
import { numel } from "../../engine/shape.ts";
import { DEFAULT_GPU } from "../../tools/plans/targets.ts";
import { close } from "../support/close.ts";
import { adapters } from "../support/devices.ts";
import { runAll } from "../support/fused.ts";
import { normalOperand, parameterOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

const r = random(31);
const N = 24;
const value = (...shape: number[]) => normalOperand(r, shape, "f32").t;
const weight = (...shape: number[]) => parameterOperand(r.normals(numel(shape)), shape, "f32").t;

/** [2, 5, n] */
const dense = (n = N) => linear(value(2, 5, 12), weight(n, 12), weight(n));
/** [2, 3, 4, 24] */
const picture = () => conv2d(value(2, 3, 4, 8), weight(N, 8, 3, 3), weight(N), { padding: 1 });
const perPicture = (...shape: number[]) => reshape(value(shape[0]!, N), shape);
const rowNormed = () => layerNorm(value(2, 5, 12), [12], weight(12), weight(12));
const normed = () => groupNorm(value(2, 3, 4, N), 4, weight(N), weight(N));

/** GEGLU on a product: `pieces` picks value and gate. */
function gate(both: Tensor, activate = gelu as (x: Tensor) => Tensor): Tensor {
  const [left, right] = split(both, both.shape.at(-1)! / 2, -1);
  return mul(left!, activate(right!));
}

/** A graph and how many dispatches fusion saves. */
type Case = readonly [what: string, saved: number, build: () => Tensor | readonly Tensor[]];

/** A convolution of [2, 3, 4, 8] enlarged to height x width, reading it by `use`. */
const enlarged = (height: number, width: number, mode: "nearest" | "bilinear" = "nearest") =>
  interpolate(value(2, 3, 4, 8), { size: [height, width], mode });
const over = (x: Tensor) => conv2d(x, weight(N, 8, 3, 3), weight(N), { padding: 1 });

const CASES: Readonly<Record<string, readonly Case[]>> = {
  upsample: [
    ["a convolution of twice the size", 1, () => over(enlarged(6, 8))],
    ["of twice the size less one", 1, () => over(enlarged(5, 7))],
    [
      "with stride and padding on one side",
      1,
      () => conv2d(enlarged(6, 7), weight(N, 8, 3, 3), null, { stride: 2, padding: [0, 1, 0, 1] }),
    ],
    ["of one pixel", 1, () => conv2d(enlarged(6, 8), weight(N, 8, 1, 1), weight(N))],
    ["and the activation after it", 2, () => silu(over(enlarged(6, 8)))],
    ["not of another size", 0, () => over(enlarged(7, 8))],
    ["not in another mode", 0, () => over(enlarged(6, 8, "bilinear"))],
    ["not where another op reads the large picture", 0, () => both(enlarged(6, 8), over, over)],
  ],
  scale: [
    ["a number times a convolution", 1, () => mul(picture(), 0.25)],
    ["times a linear without bias", 1, () => mul(linear(value(5, 12), weight(N, 12)), -3)],
    ["then silu", 2, () => silu(mul(picture(), 0.25))],
    ["then a residual", 2, () => add(mul(dense(), 0.25), value(2, 5, N))],
    ["after a row bias", 2, () => mul(add(picture(), perPicture(2, 1, 1, N)), 0.25)],
    ["not before a row bias", 1, () => add(mul(picture(), 0.25), perPicture(2, 1, 1, N))],
    ["not after silu", 1, () => mul(silu(picture()), 0.25)],
    ["not after a residual", 1, () => mul(add(dense(), value(2, 5, N)), 0.25)],
    ["not twice", 1, () => mul(mul(dense(), 0.25), 3)],
    ["not a sum with a number", 0, () => add(dense(), 0.25)],
    ["not of a product that is an output", 0, () => withItself(dense(), (x) => mul(x, 2))],
    ["nor in a gated product", 1, () => gate(mul(dense(), 0.25))],
  ],
  activation: [
    ["silu of a linear", 1, () => silu(dense())],
    ["gelu of a convolution", 1, () => gelu(picture())],
    ["gelu by tanh", 1, () => gelu(dense(), { approximate: "tanh" })],
    ["relu of a convolution", 1, () => relu(picture())],
    ["quick gelu", 1, () => gelu(dense(), { approximate: "quick" })],
    ["not sigmoid", 0, () => sigmoid(dense())],
    ["not twice", 1, () => silu(silu(dense()))],
    ["not of a product that another op reads", 0, () => both(dense(), silu, sigmoid)],
    ["not of a product that is an output", 0, () => withItself(dense(), silu)],
    ["not after a residual", 1, () => silu(add(dense(), value(2, 5, N)))],
    ["not of another view of the product", 0, () => silu(reshape(dense(), [10, N]))],
  ],
  "norm-activation": [
    ["silu of a norm", 1, () => silu(normed())],
    ["not gelu", 0, () => gelu(normed())],
    ["not twice", 1, () => silu(silu(normed()))],
    ["not of a norm that another op reads", 0, () => both(normed(), silu, sigmoid)],
    ["not of a norm that is an output", 0, () => withItself(normed(), silu)],
  ],
  "row-norm": [
    // The moments of rows that no product made take a dispatch, like the norm.
    ["a linear of a layer norm", 0, () => onNormed(rowNormed())],
    ["of a product", 1, () => onNormed(overTokens(linear(value(2, 5, 8), weight(12, 8))))],
    ["of a product with a residual", 2, () => onNormed(overTokens(withResidual()))],
    ["of another view of a product", 1, () => onNormed(reshaped())],
    ["without weights and biases", 1, () => linear(bare(), weight(N, 12))],
    ["into a gated product", 3, () => gate(onNormed(overTokens(made())))],
    ["then silu and a residual", 3, () => add(silu(onNormed(overTokens(made()))), value(2, 5, N))],
    ["not of a norm that another op reads", 0, () => both(overTokens(made()), onNormed, sigmoid)],
    ["not of a norm that is an output", 0, () => withItself(overTokens(made()), onNormed)],
    ["not into weights that are no parameters", 0, () => linear(overTokens(made()), value(N, 12))],
    ["not of a gated product", 2, () => onNormed(overTokens(gate(dense())))],
  ],
  "row-bias": [
    ["one row a picture", 1, () => add(picture(), perPicture(2, 1, 1, N))],
    ["one row for all", 1, () => add(picture(), perPicture(1, 1, 1, N))],
    ["on tokens", 1, () => add(dense(), perPicture(2, 1, N))],
    ["a slice of a wider row", 1, () => add(picture(), slicedRow())],
    ["then silu", 2, () => silu(add(picture(), perPicture(2, 1, 1, N)))],
    ["not a row for each line", 0, () => add(picture(), reshape(value(3, N), [1, 3, 1, N]))],
    ["not a value for each picture", 0, () => add(picture(), reshape(value(2, 1), [2, 1, 1, 1]))],
    ["not a row of fewer axes", 0, () => add(picture(), reshape(value(1, N), [N]))],
    ["not after silu", 1, () => add(silu(picture()), perPicture(2, 1, 1, N))],
    ["not after a residual", 1, () => add(add(dense(), value(2, 5, N)), perPicture(2, 1, N))],
    ["not where it makes the product larger", 0, () => add(single(), perPicture(2, 1, N))],
    ["not of a product that is an output", 0, () => withItself(dense(), plusRow)],
  ],
  residual: [
    ["after the product", 1, () => add(dense(), value(2, 5, N))],
    ["in front of it", 1, () => add(value(2, 3, 4, N), picture())],
    ["the sum of two products, into one", 1, () => add(dense(), dense())],
    ["after silu", 2, () => add(silu(dense()), value(2, 5, N))],
    ["of an input of the product", 1, () => plusInput()],
    ["only once", 1, () => add(add(dense(), value(2, 5, N)), value(2, 5, N))],
    ["not a row that is broadcast", 0, () => add(dense(), value(N))],
    ["not where it makes the product larger", 0, () => add(single(), value(2, 5, N))],
    ["not the product itself", 0, () => twice(dense())],
    ["not into a product that is an output", 0, () => withItself(dense(), plusValue)],
  ],
  geglu: [
    ["halves on vec4 borders", 2, () => gate(dense())],
    ["halves of 32", 2, () => gate(dense(64))],
    ["not halves off vec4 borders", 0, () => gate(dense(12))],
    ["not gelu by tanh", 0, () => gate(dense(), (x) => gelu(x, { approximate: "tanh" }))],
    ["not the halves exchanged", 0, () => exchanged(dense())],
    ["not with a row bias", 1, () => gate(add(dense(), perPicture(2, 1, N)))],
    ["not with a residual", 1, () => gate(add(dense(), value(2, 5, N)))],
    ["not of a product that is an output", 0, () => withItself(dense(), gate)],
    ["not of a gate that is an output", 0, () => gateToo(dense())],
    ["then no residual", 2, () => add(gate(dense()), value(2, 5, N / 2))],
  ],
};

/** [2, 5, 12] */
function made(): Tensor {
  return linear(value(2, 5, 8), weight(12, 8), weight(12));
}

function withResidual(): Tensor {
  return add(made(), value(2, 5, 12));
}

function overTokens(x: Tensor): Tensor {
  return layerNorm(x, [12], weight(12), weight(12));
}

function onNormed(x: Tensor): Tensor {
  return linear(x, weight(N, 12), weight(N));
}

function reshaped(): Tensor {
  return overTokens(reshape(made(), [10, 12]));
}

function bare(): Tensor {
  return layerNorm(made(), [12]);
}

function both(x: Tensor, f: (x: Tensor) => Tensor, g: (x: Tensor) => Tensor): Tensor[] {
  return [f(x), g(x)];
}

function withItself(x: Tensor, f: (x: Tensor) => Tensor): Tensor[] {
  return [x, f(x)];
}

/** One row a picture, [2, 1, N], which what it is added to makes larger. */
function single(): Tensor {
  return linear(value(1, 5, 12), weight(N, 12));
}

function slicedRow(): Tensor {
  return reshape(slice(value(2, 3 * N), -1, N, 2 * N), [2, 1, 1, N]);
}

function plusRow(x: Tensor): Tensor {
  return add(x, perPicture(2, 1, N));
}

function plusValue(x: Tensor): Tensor {
  return add(x, value(...x.shape));
}

function plusInput(): Tensor {
  const x = value(2, 5, N);
  return add(linear(x, weight(N, N)), x);
}

function twice(x: Tensor): Tensor {
  return add(x, x);
}

function exchanged(x: Tensor): Tensor {
  const [left, right] = split(x, N / 2, -1);
  return mul(right!, gelu(left!));
}

function gateToo(x: Tensor): Tensor[] {
  const [left, right] = split(x, N / 2, -1);
  const activated = gelu(right!);
  return [mul(left!, activated), activated];
}

function outputsOf(build: Case[2]): Outputs {
  const built = build();
  const list = "op" in built ? [built] : built;
  return Object.fromEntries(list.map((t, i) => [String(i), t]));
}

function dispatches(outputs: Outputs, fused: boolean): number {
  const { dispatches } = lower(outputs, DEFAULT_GPU, { fuse: fused });
  // Slices that are read by nothing but a gated product vanish with it; they are counted apart.
  return dispatches.filter(({ kernel }) => kernel.name !== "copy").length;
}

describe("fusion", () => {
  it("has cases for every rule", () => {
    assert.deepEqual(
      Object.keys(CASES),
      FUSIONS.map(({ name }) => name),
    );
  });

  it("does nothing without rules", () => {
    const outputs = { y: silu(dense()) };
    assert.equal(fuse(outputs, []).y, outputs.y);
  });

  for (const [rule, cases] of Object.entries(CASES)) {
    describe(rule, () => {
      for (const [what, saved, build] of cases) {
        it(`${what}: ${saved} dispatches fewer`, () => {
          const outputs = outputsOf(build);
          assert.equal(dispatches(outputs, false) - dispatches(outputs, true), saved);
        });
      }

      it("changes no result", async () => {
        const { device } = (await adapters())[0]!;
        const outputs = Object.fromEntries(
          cases.flatMap(([what, , build]) =>
            Object.entries(outputsOf(build)).map(([i, t]) => [`${what} ${i}`, t] as const),
          ),
        );
        const fused = await runAll(device, outputs);
        const apart = await runAll(device, outputs, { fuse: false });
        for (const label of Object.keys(outputs)) {
          close(fused[label]!, apart[label]!, { dtype: "f32", terms: 9 * N, label });
        }
      });
    });
  }

  it("keeps the label of the product and the place of the op that it takes in", () => {
    const y = silu(
      linear(value(3, 8), parameterOperand(r.normals(64), [8, 8], "f32", "m.fc.weight").t),
    );
    const { y: fused } = fuse({ y });
    assert.equal(fused!.label, "m.fc");
    assert.equal(fused!.id, y.id);
  });
});
