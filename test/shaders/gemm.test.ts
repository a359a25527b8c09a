import assert from "node:assert/strict";
import {
  add,
  evaluate,
  gelu,
  linear,
  matmul,
  mul,
  relu,
  reshape,
  silu,
  slice,
  split,
  type Tensor,
  tensor,
} from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import { binary, unary } from "../reference/elementwise.ts";
import * as reference from "../reference/linear.ts";
import { type Values, values } from "../reference/values.ts";
import { close, rounded } from "../support/close.ts";
import { describeBothForms } from "../support/devices.ts";
import { kernels, numbered, products, runAll } from "../support/fused.ts";
import { normalOperand, type Operand, parameterOperand } from "../support/operand.ts";
import { type Random, random } from "../support/random.ts";

// Small products get tiles of 32 rows and 32 or 64 columns; test/shaders/tile.test.ts covers the other tiles.
const SHAPES: readonly (readonly [lead: readonly number[], K: number, N: number])[] = [
  [[1], 1, 1],
  [[7], 3, 5],
  [[8], 4, 64],
  [[9], 31, 65],
  [[2, 17], 64, 63],
  [[3, 5, 1], 13, 61],
  [[16], 32, 36],
  [[15], 33, 29],
  [[2, 2, 2, 3], 20, 130],
];

const STORED = ["f32", "f16", "bf16"] as const;

type Dtype = "f32" | "f16";

/** A weight as the kernel sees it: in the dtype of what it is multiplied with. */
const seen = ({ v }: Operand, dtype: Dtype): Values => values(rounded(v.data, dtype), v.shape);

const weights = (r: Random, shape: readonly number[], type: "f32" | "f16" | "bf16", name: string) =>
  parameterOperand(r.normals(numel(shape)), shape, type, name);

describeBothForms("gemm", (getDevice, software) => {
  it("takes a vector for a row or a column", async () => {
    const [v, w] = [tensor([1, 2, 3], [3]), tensor([1, 2, 3, 4, 5, 6], [3, 2])];
    const batch = tensor([1, 0, 0, 0, 1, 0, 0, 0, 1, 1, 1, 1], [2, 2, 3]);
    const found = await evaluate(getDevice(), () => [
      matmul(v, v),
      matmul(v, w),
      matmul(batch, v),
      matmul(v, reshape(batch, [2, 3, 2])),
    ]);
    assert.deepEqual(
      found.map((y) => [y.shape, [...y]]),
      [
        [[], [14]],
        [[2], [22, 28]],
        [
          [2, 2],
          [1, 2, 3, 6],
        ],
        [
          [2, 2],
          [4, 0, 5, 5],
        ],
      ],
    );
  });

  for (const dtype of ["f32", "f16"] as const) {
    it(`multiplies ${dtype} rows by parameters of every type, with bias and without`, async () => {
      const r = random(11);
      const cases = SHAPES.map(([lead, K, N], i) => {
        const stored = STORED[i % 3]!;
        const x = normalOperand(r, [...lead, K], dtype);
        const w = weights(r, [N, K], stored, `m.${i}.weight`);
        const b = i % 2 === 0 ? weights(r, [N], stored, `m.${i}.bias`) : undefined;
        return { x, w, b, K, y: linear(x.t, w.t, b?.t) };
      });
      const results = await runAll(getDevice(), numbered(cases));
      cases.forEach(({ x, w, b, K, y }, i) => {
        const expected = reference.linear(x.v, seen(w, dtype), b?.v);
        assert.deepEqual(y.shape, expected.shape);
        const label = `[${x.v.shape}] · [${w.v.shape}]ᵀ of ${STORED[i % 3]}`;
        close(results[i]!, expected.data, { dtype, terms: K, label });
      });
    });

    it(`multiplies batches of ${dtype} matrices, each side shared or not`, async () => {
      const r = random(12);
      const pairs = [
        [
          [1, 1],
          [1, 1],
        ],
        [
          [7, 5],
          [5, 9],
        ],
        [
          [3, 9, 13],
          [3, 13, 17],
        ],
        [
          [4, 8, 7],
          [7, 6],
        ],
        [
          [5, 6],
          [3, 6, 11],
        ],
        [
          [2, 1, 3, 8],
          [1, 4, 8, 4],
        ],
        [
          [1, 9, 6],
          [2, 6, 65],
        ],
        [
          [2, 3, 1, 5],
          [3, 5, 2],
        ],
      ] as const;
      const cases = pairs.map(([left, right]) => {
        const a = normalOperand(r, left, dtype);
        const b = normalOperand(r, right, dtype);
        return { a, b, y: matmul(a.t, b.t) };
      });
      const results = await runAll(getDevice(), numbered(cases));
      cases.forEach(({ a, b, y }, i) => {
        const expected = reference.matmul(a.v, b.v);
        assert.deepEqual(y.shape, expected.shape);
        const terms = a.v.shape.at(-1)!;
        close(results[i]!, expected.data, { dtype, terms, label: `[${a.v.shape}] [${b.v.shape}]` });
      });
    });

    it(`finishes ${dtype} sums in the epilogue as separate kernels would`, async function () {
      if (!software && dtype === "f16") this.skip();
      const device = getDevice();
      const table = software ? EPILOGUES : EPILOGUES.filter(([name]) => FEWER.has(name));
      const cases = table.map(([name, make]) => ({ name, ...make(random(13), dtype) }));
      for (const { name, y } of cases) {
        assert.equal(products(kernels(device, { y })), 1, `${name} is one kernel`);
      }
      const fused = await runAll(device, numbered(cases));
      const apart = await runAll(device, numbered(cases), { fuse: false });
      cases.forEach(({ name, expected, terms }, i) => {
        const roundings = dtype === "f16" ? 4 : 1;
        close(fused[i]!, expected.data, { dtype, terms, label: name });
        close(apart[i]!, expected.data, { dtype, terms, roundings, label: `${name}, unfused` });
      });
    });

    it(`reads ${dtype} rows in place out of a slice`, async () => {
      const r = random(14);
      const x = normalOperand(r, [2, 5, 24], dtype);
      const w = weights(r, [6, 8], "f32", "m.weight");
      const part = () => slice(x.t, -1, 12, 20);
      const y = await evaluate(getDevice(), () => linear(part(), w.t));
      const rows = x.v.data.length / 24;
      const cut = values(
        Array.from({ length: rows }, (_, m) => [
          ...x.v.data.slice(24 * m + 12, 24 * m + 20),
        ]).flat(),
        [2, 5, 8],
      );
      close(y, reference.linear(cut, seen(w, dtype)).data, { dtype, terms: 8 });
      assert.equal(products(kernels(getDevice(), { y: linear(part(), w.t) })), 1);
    });
  }

  it("adds the slices of a long sum up before bias, time, factor, activation and residual", async () => {
    const r = random(15);
    const x = normalOperand(r, [2, 3, 4096], "f16");
    const w = parameterOperand(r.normals(9 * 4096, 1 / 64), [9, 4096], "f16", "m.weight");
    const b = weights(r, [9], "f32", "m.bias");
    const base = {
      y: linear(x.t, w.t, b.t),
      expected: reference.linear(x.v, w.v, b.v),
      terms: 4096,
    };
    const timed = withRowBias(base, r, "f16", 2, false);
    const half = {
      ...timed,
      y: mul(timed.y, 0.5),
      expected: values(
        timed.expected.data.map((v) => v / 2),
        timed.expected.shape,
      ),
    };
    const { y, expected } = withResidual(activated(half, "silu"), r, "f16", false);
    if (!software) assert.deepEqual(kernels(getDevice(), { y }), ["gemm", "split-k-sum"]);
    const results = await runAll(getDevice(), { y });
    close(results.y!, expected.data, { dtype: "f16", terms: 4096 });
  });

  it("covers more rows than one dimension of a grid has workgroups", async () => {
    const rows = 8 * 65_535 + 13;
    const x = Float32Array.from({ length: rows * 2 }, (_, i) => (i % 2 ? 1 : Math.floor(i / 2)));
    const w = parameterOperand(Float32Array.of(1, 0, 0, 1), [2, 2], "f32");
    const y = await evaluate(getDevice(), () => linear(tensor(x, [rows, 2]), w.t));
    close(y, x, { dtype: "f32" });
  });
});

interface Case {
  readonly y: Tensor;
  readonly expected: Values;
  readonly terms: number;
}

type Make = (r: Random, dtype: Dtype) => Case;

const M = 11;
const K = 13;

/** A product [2, M, N] with bias, and its reference. */
function product(r: Random, dtype: Dtype, N: number): Case {
  const x = normalOperand(r, [2, M, K], dtype);
  const w = weights(r, [N, K], "f16", "m.weight");
  const b = weights(r, [N], "f32", "m.bias");
  return {
    y: linear(x.t, w.t, b.t),
    expected: reference.linear(x.v, seen(w, dtype), b.v),
    terms: K,
  };
}

/** + time [1 or 2, N], as it is or out of a wider tensor. */
function withRowBias(base: Case, r: Random, dtype: Dtype, batch: number, sliced: boolean): Case {
  const N = base.y.shape.at(-1)!;
  const wide = sliced ? N + 12 : N;
  const start = sliced ? 4 : 0;
  const times = normalOperand(r, [batch, wide], dtype);
  const own = Array.from({ length: batch }, (_, row) => [
    ...times.v.data.slice(row * wide + start, row * wide + start + N),
  ]).flat();
  const time = sliced ? slice(times.t, -1, start, start + N) : times.t;
  return {
    ...base,
    y: add(base.y, reshape(time, [batch, 1, N])),
    expected: binary(base.expected, values(own, [batch, 1, N]), "add"),
  };
}

function withResidual(base: Case, r: Random, dtype: Dtype, first: boolean): Case {
  const other = normalOperand(r, base.y.shape, dtype);
  return {
    ...base,
    y: first ? add(other.t, base.y) : add(base.y, other.t),
    expected: binary(base.expected, other.v, "add"),
  };
}

const activations = {
  silu: (y: Tensor) => silu(y),
  gelu: (y: Tensor) => gelu(y),
  gelu_tanh: (y: Tensor) => gelu(y, { approximate: "tanh" }),
  relu,
  gelu_quick: (y: Tensor) => gelu(y, { approximate: "quick" }),
} as const;

function activated(base: Case, fn: keyof typeof activations): Case {
  return { ...base, y: activations[fn](base.y), expected: unary(base.expected, fn) };
}

function gated(r: Random, dtype: Dtype, half: number): Case {
  const { y, expected, terms } = product(r, dtype, 2 * half);
  const [value, gate] = split(y, half, -1);
  const part = (from: number) => {
    const rows = expected.data.length / (2 * half);
    const cut = Array.from({ length: rows }, (_, m) => [
      ...expected.data.slice(2 * half * m + from, 2 * half * m + from + half),
    ]);
    return values(cut.flat(), [2, M, half]);
  };
  return {
    y: mul(value!, gelu(gate!)),
    expected: binary(part(0), unary(part(half), "gelu"), "mul"),
    terms,
  };
}

// The form for GPUs takes seconds to compile on a CPU, once for each kind of epilogue and dtype.
const FEWER = new Set([
  "gelu",
  "a row bias out of a slice",
  "row bias, silu and residual",
  "a gate of 68",
]);

const EPILOGUES: readonly (readonly [string, Make])[] = [
  ...(Object.keys(activations) as (keyof typeof activations)[]).map(
    (fn) => [fn, (r: Random, d: Dtype) => activated(product(r, d, 33), fn)] as const,
  ),
  ["one row bias for all", (r: Random, d: Dtype) => withRowBias(product(r, d, 33), r, d, 1, false)],
  [
    "a row bias per picture",
    (r: Random, d: Dtype) => withRowBias(product(r, d, 33), r, d, 2, false),
  ],
  [
    "a row bias out of a slice",
    (r: Random, d: Dtype) => withRowBias(product(r, d, 68), r, d, 2, true),
  ],
  [
    "one row bias out of a slice",
    (r: Random, d: Dtype) => withRowBias(product(r, d, 68), r, d, 1, true),
  ],
  ["a residual", (r: Random, d: Dtype) => withResidual(product(r, d, 33), r, d, false)],
  ["a residual in front", (r: Random, d: Dtype) => withResidual(product(r, d, 33), r, d, true)],
  [
    "row bias, silu and residual",
    (r: Random, d: Dtype) =>
      withResidual(activated(withRowBias(product(r, d, 33), r, d, 2, false), "silu"), r, d, false),
  ],
  ["a gate of 4", (r: Random, d: Dtype) => gated(r, d, 4)],
  ["a gate of 68", (r: Random, d: Dtype) => gated(r, d, 68)],
  // On planes, whose workgroups have threads to spare here.
  ["a gate of 40", (r: Random, d: Dtype) => gated(r, d, 40)],
];
