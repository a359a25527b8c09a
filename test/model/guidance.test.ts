import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { type Device, openDevice } from "../../engine/device.ts";
import {
  compile,
  type Evaluated,
  evaluate,
  input,
  type Tensor,
  tensor,
} from "../../engine/index.ts";
import { type GuideOptions, guide } from "../../model/guidance.ts";
import {
  type CleanFactors,
  type GuidanceTableOptions,
  guidanceTable,
} from "../../model/guidance-table.ts";
import { GUIDANCE_COLUMNS } from "../../shaders/guidance.ts";
import * as reference from "../reference/guidance.ts";
import { values } from "../reference/values.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { random } from "../support/random.ts";

type Case = { scale: number; ratio: number };
type Golden = {
  shape: [number, number, number, number];
  u: number[];
  c: number[];
  x: number[];
  rescale: { scale: number; phi: number; output: number[] }[];
  threshold: (Case & {
    prediction: "epsilon" | "v_prediction";
    most: number;
    alpha: number;
    sigma: number;
    clean: number[];
    noise: number[];
  })[];
  mimic: (Case & { alpha: number; sigma: number; mimic: number; clean: number[] })[];
};

const golden: Golden = JSON.parse(
  readFileSync(new URL("../fixtures/guidance.json", import.meta.url), "utf8"),
);

/** [B, C, h, w] as [B, h, w, C]. */
function channelsLast(data: readonly number[], [batch, channels, height, width] = golden.shape) {
  const area = height * width;
  return Float32Array.from({ length: batch * channels * area }, (_, i) => {
    const [b, p, c] = [
      Math.floor(i / channels / area),
      Math.floor(i / channels) % area,
      i % channels,
    ];
    return data[(b * channels + c) * area + p]!;
  });
}

const [BATCH, , HEIGHT, WIDTH] = golden.shape;
const SHAPE = [BATCH, HEIGHT, WIDTH, 4];
const X = channelsLast(golden.x);
const M = [...channelsLast(golden.u), ...channelsLast(golden.c)];

interface Run extends Pick<GuideOptions, "thresholding" | "rescale"> {
  readonly m?: ArrayLike<number>;
  readonly x?: ArrayLike<number>;
  readonly shape?: readonly number[];
  readonly weights?: readonly number[];
}

/** The graph of one evaluation, the last of two that the table holds. */
function guided(
  options: Omit<GuidanceTableOptions, "scales"> & { scale: number },
  run: Run,
): Tensor {
  const { m = M, x = X, shape = SHAPE, weights, rescale, thresholding } = run;
  const { scale, clean, ...rest } = options;
  const pixels = shape[1]! * shape[2]!;
  const nothing = { x: Number.NaN, output: Number.NaN };
  const both = clean && { clean: [nothing, clean[0]!] };
  const table = guidanceTable(pixels, { ...rest, ...both, scales: [1000, scale] });
  const halves = m.length / x.length;
  return guide(tensor(m, shape.with(0, halves * shape[0]!)), {
    state: tensor([...Array.from(x), ...new Float32Array(x.length)], [2, ...shape]),
    step: tensor([1], [1], "i32"),
    table: tensor(table, [2, GUIDANCE_COLUMNS]),
    rescale,
    thresholding,
    ...(weights && { weights: tensor([...weights], [weights.length]) }),
  });
}

const cleanOf = (prediction: string, alpha: number, sigma: number): CleanFactors =>
  prediction === "epsilon"
    ? { x: 1 / alpha, output: -sigma / alpha }
    : { x: alpha, output: -sigma };

const largest = (list: ArrayLike<number>) => Math.max(...Array.from(list, Math.abs));

describeOnEveryAdapter("guidance against diffusers", againstDiffusers);

function againstDiffusers(getDevice: () => Device): void {
  it("rescales as rescale_noise_cfg does", async () => {
    const results = await evaluate(getDevice(), () =>
      golden.rescale.map(({ scale, phi }) => guided({ scale, rescale: phi }, { rescale: true })),
    );
    golden.rescale.forEach(({ output }, i) => {
      close(results[i]!, channelsLast(output), { dtype: "f32", terms: 60 });
    });
  });

  it("thresholds x0 as the schedulers do, and gives the noise that belongs to it", async () => {
    const cases = golden.threshold.map(({ prediction, alpha, sigma, ...rest }) => ({
      ...rest,
      prediction,
      alpha,
      sigma,
      factors: cleanOf(prediction, alpha, sigma),
    }));
    const results = await evaluate(getDevice(), () =>
      cases.map(({ scale, ratio, most, factors }) => {
        const thresholding = { kind: "dynamic", ratio, maxValue: most } as const;
        const options = { scale, thresholding, clean: [factors] };
        return guided(options, { thresholding: "dynamic" });
      }),
    );
    cases.forEach(({ prediction, alpha, sigma, factors, clean, noise }, i) => {
      const m = results[i]!;
      const x0 = Float64Array.from(m, (value, at) => factors.x * X[at]! + factors.output * value);
      // x0 is the small difference of two large numbers where the noise is strong.
      const magnitude = Math.abs(factors.x) * largest(X) + 1;
      close(x0, channelsLast(clean), { dtype: "f32", terms: 4, magnitude, label: `x0 of ${i}` });
      const epsilon = Float64Array.from(m, (value, at) =>
        prediction === "epsilon" ? value : alpha * value + sigma * X[at]!,
      );
      const ofNoise = magnitude / Math.abs(factors.output) + largest(noise);
      const closeness = { dtype: "f32", terms: 4, magnitude: ofNoise } as const;
      close(epsilon, channelsLast(noise), { ...closeness, label: `noise of ${i}` });
    });
  });

  it("mimics the spread of another scale in each channel", async () => {
    const results = await evaluate(getDevice(), () =>
      golden.mimic.map(({ alpha, sigma, scale, mimic, ratio }) => {
        const thresholding = { kind: "mimic", ratio, scale: mimic } as const;
        const clean = [cleanOf("v_prediction", alpha, sigma)];
        return guided({ scale, thresholding, clean }, { thresholding: "mimic" });
      }),
    );
    golden.mimic.forEach(({ alpha, sigma, clean }, i) => {
      const x0 = Float64Array.from(results[i]!, (m, at) => alpha * X[at]! - sigma * m);
      close(x0, channelsLast(clean), { dtype: "f32", terms: 15, magnitude: 10 });
    });
  });
}

describeOnEveryAdapter("guidance", (getDevice) => {
  const V: CleanFactors = { x: 0.8, output: -0.6 };
  const dynamic = { thresholding: { kind: "dynamic" }, clean: [V] } as const;
  const mimic = { thresholding: { kind: "mimic", ratio: 0.95 }, clean: [V] } as const;
  const finite = (list: ArrayLike<number>) => Array.from(list).every(Number.isFinite);

  it("does all of it at awkward sizes as in float64", async () => {
    const r = random(31);
    const cases = [
      [1, 1, 1, 4],
      [3, 2, 7, 4],
      [1, 17, 19, 4],
    ].map((shape) => {
      const count = shape.reduce((a, b) => a * b);
      return { shape, m: r.normals(3 * count), x: r.normals(count) };
    });
    const weights = [0.5, 0.75];
    const outputs = await evaluate(getDevice(), () =>
      cases.flatMap(({ shape, m, x }) => [
        guided(
          { scale: 6, rescale: 0.7, ...dynamic },
          { shape, m, x, weights, rescale: true, thresholding: "dynamic" },
        ),
        guided({ scale: 9, ...mimic }, { shape, m, x, weights, thresholding: "mimic" }),
      ]),
    );
    cases.forEach(({ shape, m, x }, i) => {
      const all = values(m, shape.with(0, 3 * shape[0]!));
      const at = (scale: number) => reference.guided(all, shape, scale, weights);
      const clean = (g: { data: Float64Array }) =>
        values(
          g.data.map((value, n) => V.x * x[n]! + V.output * value),
          shape,
        );
      const rescaled = reference.rescaled(at(6), at(1), 0.7);
      const expected = [
        reference.thresholded(clean(rescaled), 0.995, 1),
        reference.mimicked(clean(at(9)), clean(at(7)), 0.95),
      ];
      expected.forEach(({ data }, n) => {
        const actual = Float64Array.from(
          outputs[2 * i + n]!,
          (value, k) => V.x * x[k]! + V.output * value,
        );
        const closeness = { dtype: "f32", terms: m.length / 3, magnitude: 20 } as const;
        close(actual, data, { ...closeness, label: `[${shape}], ${["dynamic", "mimic"][n]}` });
      });
    });
  });

  it("leaves to the last bit what is in range, or has nothing to mimic", async () => {
    const small = Array.from(M, (value) => 0.05 * value);
    const x = X.map((value) => 0.2 * value);
    const run = { m: small, x };
    const [plain, drawn, same, unguided, last] = await evaluate(getDevice(), () => [
      guided({ scale: 2 }, run),
      guided({ scale: 2, ...dynamic }, { ...run, thresholding: "dynamic" }),
      guided({ scale: 2, ...mimic }, { ...run, thresholding: "mimic" }),
      guided({ scale: 1, ...mimic }, { thresholding: "mimic" }),
      // No noise is left: x0 is x, whatever the model says.
      guided(
        { scale: 2, ...dynamic, clean: [{ x: 1, output: 0 }] },
        { ...run, thresholding: "dynamic" },
      ),
    ]);
    assert.deepEqual(drawn, plain);
    assert.deepEqual(same, plain);
    assert.deepEqual(Array.from(unguided!), M.slice(M.length / 2));
    assert.deepEqual(last, plain);
  });

  it("keeps huge model outputs finite, their x0 in range", async () => {
    const huge = Array.from(M, (value) => 1e30 * value);
    const [drawn, mimicked] = await evaluate(getDevice(), () => [
      guided(
        { scale: 7.5, rescale: 1, ...dynamic },
        { m: huge, rescale: true, thresholding: "dynamic" },
      ),
      guided({ scale: 30, ...mimic }, { m: huge, thresholding: "mimic" }),
    ]);
    const x0 = Float64Array.from(drawn!, (value, i) => V.x * X[i]! + V.output * value);
    assert.ok(largest(x0) < 1 + 1e-5, `x0 reaches ${largest(x0)}`);
    assert.ok(finite(mimicked!));
  });

  it("leaves what is not finite so, that the step may report it, and other pictures alone", async () => {
    const broken = [...M];
    broken[M.length / 2 + 3] = Number.NaN;
    broken[M.length / 2 + 9] = Number.POSITIVE_INFINITY;
    const graphs = (m: number[]) => [
      guided({ scale: 2, rescale: 0.7 }, { m, rescale: true }),
      guided({ scale: 2, ...dynamic }, { m, thresholding: "dynamic" }),
      guided({ scale: 20, ...mimic }, { m, thresholding: "mimic" }),
    ];
    const found = await evaluate(getDevice(), () => [...graphs(broken), ...graphs(M)]);
    found.slice(0, 3).forEach((result, i) => {
      assert.ok(!Number.isFinite(result[3]), `NaN became ${result[3]} in case ${i}`);
      assert.ok(!Number.isFinite(result[9]), `infinity became ${result[9]} in case ${i}`);
      const second = (list: Evaluated) => [...list.slice(list.length / 2)];
      assert.deepEqual(second(result), second(found[i + 3]!));
    });
  });

  it("comes out the same every time", async () => {
    const r = random(32);
    const shape = [1, 31, 37, 4];
    const [m, x] = [r.normals(2 * 31 * 37 * 4), r.normals(31 * 37 * 4)];
    const once = () =>
      evaluate(getDevice(), () => [
        guided(
          { scale: 9, rescale: 0.5, ...dynamic },
          { m, x, shape, rescale: true, thresholding: "dynamic" },
        ),
        guided({ scale: 9, ...mimic }, { m, x, shape, thresholding: "mimic" }),
      ]);
    assert.deepEqual(await once(), await once());
  });

  it("takes the same prompt twice, half each, for that prompt", async () => {
    const half = M.length / 2;
    const [one, two] = await evaluate(getDevice(), () => [
      guided({ scale: 7.5 }, {}),
      guided({ scale: 7.5 }, { m: [...M, ...M.slice(half)], weights: [0.5, 0.5] }),
    ]);
    close(two!, one!, { dtype: "f32", terms: 3, magnitude: 20 });
  });
});

describe("the graph of guidance", () => {
  const operands = {
    state: input("state", [7, 2, 8, 8, 4]),
    step: input("step", [1], "i32"),
    table: input("table", [5, GUIDANCE_COLUMNS]),
  };
  const m = input("m", [4, 8, 8, 4], "f16");

  function kernels(t: Tensor, found = new Set<Tensor>()): string[] {
    if (t.op === "custom") found.add(t);
    for (const operand of Object.values(t.inputs)) kernels(operand, found);
    return [...found].map(({ attrs }) => (attrs.kernel as { name: string }).name).sort();
  }

  it("has the kernels of what is asked for, and no others", () => {
    assert.deepEqual(kernels(guide(m, operands)), ["guidance"]);
    assert.deepEqual(kernels(guide(m, { ...operands, rescale: true })), [
      "guidance",
      "guidance-rescale",
    ]);
    assert.deepEqual(kernels(guide(m, { ...operands, thresholding: "dynamic" })), [
      "guidance",
      "guidance-clean",
      "guidance-quantile",
      "guidance-threshold",
    ]);
  });

  it("compiles on Dawn's null backend in the form for GPUs, sizes as constants", async () => {
    using device = await openDevice({ backend: "null", bake: true });
    const weighted = { ...operands, weights: input("weights", [2]), rescale: true };
    const plan = await compile(device, {
      dynamic: guide(m, { ...operands, rescale: true, thresholding: "dynamic" }),
      mimic: guide(input("three", [6, 8, 8, 4]), { ...weighted, thresholding: "mimic" }),
    });
    await plan.destroy();
    device.check();
  });

  it("thresholds an m that is not guided, and leaves it alone otherwise", () => {
    const alone = input("alone", [2, 8, 8, 4]);
    for (const options of [{ rescale: true }, { thresholding: "mimic" }] as const) {
      assert.equal(guide(alone, { ...operands, ...options }), alone);
    }
    assert.deepEqual(kernels(guide(alone, { ...operands, thresholding: "dynamic" })), [
      "guidance-clean",
      "guidance-quantile",
      "guidance-threshold",
    ]);
  });

  it("refuses operands that do not fit, before any work", () => {
    const three = input("weights", [3]);
    const wrong: [Tensor, GuideOptions, RegExp][] = [
      [input("m", [1, 8, 8, 4]), operands, /m is \[1,8,8,4\]/],
      [input("m", [5, 8, 8, 4]), operands, /m is \[5,8,8,4\]/],
      [input("m", [4, 8, 9, 4]), operands, /m is \[4,8,9,4\]/],
      [m, { ...operands, state: input("state", [7, 2, 8, 8, 3]) }, /state is/],
      [m, { ...operands, table: input("table", [5, 16]) }, /table \[5,16\]/],
      [m, { ...operands, weights: three }, /weights is \[3\], wanted \[1\]/],
    ];
    for (const [output, options, message] of wrong) {
      assert.throws(() => guide(output, options), { code: "SHAPE", message });
    }
  });
});
