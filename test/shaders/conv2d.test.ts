import assert from "node:assert/strict";
import { add, conv2d, interpolate, type Padding, reshape, silu } from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import { type ConvGeometry, conv2d as reference } from "../reference/conv2d.ts";
import { binary, unary } from "../reference/elementwise.ts";
import { interpolate as enlarge } from "../reference/interpolate.ts";
import { values } from "../reference/values.ts";
import { close, rounded } from "../support/close.ts";
import { describeBothForms } from "../support/devices.ts";
import { kernels, numbered, products, runAll } from "../support/fused.ts";
import { normalOperand, parameterOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

interface Case {
  readonly x: readonly [B: number, H: number, W: number, I: number];
  readonly out: number;
  readonly kernel: readonly [number, number];
  readonly stride?: readonly [number, number];
  readonly padding?: Padding;
}

// Small products get tiles of 32 pixels and 32 or 64 channels; test/shaders/tile.test.ts covers the other tiles.
const CASES: readonly Case[] = [
  { x: [1, 1, 1, 1], out: 1, kernel: [1, 1] },
  { x: [2, 3, 5, 7], out: 5, kernel: [1, 1], stride: [2, 2] },
  { x: [1, 5, 7, 4], out: 63, kernel: [3, 3], padding: [1, 1, 1, 1] },
  { x: [2, 3, 3, 13], out: 65, kernel: [3, 3], padding: [1, 1, 1, 1] },
  { x: [1, 9, 7, 8], out: 8, kernel: [3, 3], stride: [2, 2], padding: [0, 1, 0, 1] },
  { x: [2, 8, 5, 6], out: 3, kernel: [3, 3], stride: [2, 2], padding: [1, 1, 1, 1] },
  { x: [1, 4, 11, 5], out: 9, kernel: [2, 5], stride: [1, 3], padding: [0, 1, 2, 3] },
  { x: [3, 2, 1, 3], out: 2, kernel: [1, 3], padding: [2, 0, 1, 1] },
  { x: [1, 17, 1, 2], out: 17, kernel: [7, 1], stride: [3, 1], padding: [5, 4, 0, 0] },
  { x: [1, 6, 6, 12], out: 12, kernel: [1, 1], padding: [1, 0, 0, 2] },
];

const KERNELS = [
  [3, 3],
  [1, 1],
] as const;

const STORED = ["f32", "f16", "bf16"] as const;

function geometry({ stride, padding }: Case): ConvGeometry {
  return { stride: stride ?? [1, 1], padding: padding ?? [0, 0, 0, 0] };
}

describeBothForms("conv2d", (getDevice, software) => {
  // The form for GPUs takes long to compile on a CPU, once for each dtype and epilogue.
  const dtypes = software ? (["f32", "f16"] as const) : (["f16"] as const);
  for (const dtype of dtypes) {
    it(`gathers ${dtype} pixels for any kernel, stride and padding`, async () => {
      const r = random(21);
      const made = CASES.map((c, i) => {
        const shape = [c.out, c.x[3], ...c.kernel];
        const stored = STORED[i % 3]!;
        const x = normalOperand(r, c.x, dtype);
        const w = parameterOperand(r.normals(numel(shape)), shape, stored, `m.${i}.weight`);
        const b = parameterOperand(r.normals(c.out), [c.out], stored, `m.${i}.bias`);
        const bias = software && i % 3 === 0 ? undefined : b;
        return { c, x, w, bias, y: conv2d(x.t, w.t, bias?.t, geometry(c)) };
      });
      const results = await runAll(getDevice(), numbered(made));
      made.forEach(({ c, x, w, bias, y }, i) => {
        const seen = values(rounded(w.v.data, dtype), w.v.shape);
        const expected = reference(x.v, seen, bias?.v, geometry(c));
        assert.deepEqual(y.shape, expected.shape);
        const terms = c.x[3] * numel(c.kernel);
        close(results[i]!, expected.data, { dtype, terms, label: JSON.stringify(c) });
      });
    });

    it(`reads ${dtype} pictures that nearest neighbours would enlarge`, async () => {
      const r = random(23);
      const x = normalOperand(r, [2, 3, 4, 6], dtype);
      const w = parameterOperand(r.normals(9 * 30), [5, 6, 3, 3], "f16", "m.weight");
      const padding = [1, 1, 1, 1] as const;
      for (const size of [
        [6, 8],
        [5, 7],
      ] as const) {
        const y = conv2d(interpolate(x.t, { size, mode: "nearest" }), w.t, null, { padding });
        assert.equal(products(kernels(getDevice(), { y })), 1);
        const large = enlarge(x.v, size, { mode: "nearest" });
        const expected = reference(large, w.v, undefined, { stride: [1, 1], padding });
        const results = await runAll(getDevice(), { y });
        close(results.y!, expected.data, { dtype, terms: 54, label: `${size}` });
      }
    });

    it(`adds the slices of a long ${dtype} sum up`, async () => {
      const r = random(24);
      const x = normalOperand(r, [1, 4, 4, 512], dtype);
      const w = parameterOperand(r.normals(9 * 5 * 512, 1 / 64), [5, 512, 3, 3], "f16", "m.weight");
      const b = parameterOperand(r.normals(5), [5], "f32", "m.bias");
      const padding = [1, 1, 1, 1] as const;
      const y = conv2d(x.t, w.t, b.t, { padding });
      if (!software) assert.deepEqual(kernels(getDevice(), { y }), ["conv2d", "split-k-sum"]);
      const expected = reference(x.v, w.v, b.v, { stride: [1, 1], padding });
      const results = await runAll(getDevice(), { y });
      close(results.y!, expected.data, { dtype, terms: 9 * 512 });
    });

    it(`adds time, activation and residual to ${dtype} sums as separate kernels would`, async () => {
      const device = getDevice();
      for (const kernel of KERNELS) {
        const r = random(22);
        const side = (kernel[0] - 1) / 2;
        const padding = [side, side, side, side] as const;
        const shape = [13, 6, ...kernel];
        const x = normalOperand(r, [2, 3, 5, 6], dtype);
        const w = parameterOperand(r.normals(numel(shape)), shape, "f16", "m.weight");
        const b = parameterOperand(r.normals(13), [13], "f32", "m.bias");
        const time = normalOperand(r, [2, 13], dtype);
        const skip = normalOperand(r, [2, 3, 5, 13], dtype);
        const h = conv2d(x.t, w.t, b.t, { padding });
        const y = add(silu(add(h, reshape(time.t, [2, 1, 1, 13]))), skip.t);
        const sum = reference(x.v, w.v, b.v, { stride: [1, 1], padding });
        const timed = binary(sum, values(time.v.data, [2, 1, 1, 13]), "add");
        const expected = binary(unary(timed, "silu"), skip.v, "add");

        assert.equal(products(kernels(device, { y })), 1);
        const terms = 6 * numel(kernel);
        const roundings = dtype === "f16" ? 4 : 1;
        const fused = await runAll(device, { y });
        close(fused.y!, expected.data, { dtype, terms, label: `fused ${kernel}` });
        const apart = await runAll(device, { y }, { fuse: false });
        close(apart.y!, expected.data, { dtype, terms, roundings, label: `apart ${kernel}` });
      }
    });
  }
});
