import assert from "node:assert/strict";
import { custom, evaluate, tensor } from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import { GUIDANCE_COLUMNS, guidance } from "../../shaders/guidance.ts";
import { guidanceClean } from "../../shaders/guidance-clean.ts";
import { guidanceQuantile } from "../../shaders/guidance-quantile.ts";
import { guidanceRescale } from "../../shaders/guidance-rescale.ts";
import { guidanceSpread } from "../../shaders/guidance-spread.ts";
import * as reference from "../reference/guidance.ts";
import { type Values, values } from "../reference/values.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand, operand } from "../support/operand.ts";
import { random } from "../support/random.ts";

type Pictures = readonly [batch: number, height: number, width: number, channels: 4];

// One pixel, primes, a workgroup's threads, and more of them than one workgroup has.
const SHAPES: readonly Pictures[] = [
  [1, 1, 1, 4],
  [2, 3, 5, 4],
  [3, 1, 7, 4],
  [2, 16, 16, 4],
  [1, 17, 31, 4],
];

/** A table whose row 1 is the given one, and a step that reads it. */
function rows(...row: number[]) {
  const values = new Float32Array(2 * GUIDANCE_COLUMNS).fill(99);
  values.set(row, GUIDANCE_COLUMNS);
  return { table: tensor(values, [2, GUIDANCE_COLUMNS]), step: tensor([1], [1], "i32") };
}

const sizesOf = ([batch, height, width]: Pictures) => ({ batch, pixels: height * width });

describeOnEveryAdapter("guidance", (getDevice) => {
  for (const [name, weights] of [
    ["one condition", undefined],
    ["three conditions with weights", [0.7, -0.4, 1.3]],
  ] as const) {
    it(`steers by ${name}, in f32 and f16`, async () => {
      const r = random(21);
      const conditions = weights?.length ?? 1;
      const cases = SHAPES.map((shape, i) => ({
        shape,
        m: normalOperand(r, shape.with(0, (1 + conditions) * shape[0]), i % 2 ? "f16" : "f32"),
      }));
      const results = await evaluate(getDevice(), () =>
        cases.map(({ shape, m }) => {
          const options = { column: 0, rescaled: false, weighted: weights !== undefined } as const;
          const params = { ...sizesOf(shape), conditions, ...options };
          const weighted = weights && { weights: tensor([...weights], [conditions]) };
          return custom(guidance, params, { m: m.t, ...weighted, ...rows(7.5) }, shape, "f32");
        }),
      );
      cases.forEach(({ shape, m }, i) => {
        const expected = reference.guided(m.v, shape, 7.5, weights ?? [1]);
        const closeness = { dtype: "f32", terms: 2 * conditions, magnitude: 40 } as const;
        close(results[i]!, expected.data, { ...closeness, label: `[${shape}]` });
      });
    });
  }

  it("is the condition to the last bit where the scale is 1", async () => {
    const m = normalOperand(random(22), [4, 3, 5, 4], "f32");
    const params = { batch: 2, pixels: 15, conditions: 1, weighted: false, rescaled: false };
    const y = await evaluate(getDevice(), () =>
      custom(guidance, { ...params, column: 0 }, { m: m.t, ...rows(1) }, [2, 3, 5, 4], "f32"),
    );
    assert.deepEqual([...y], [...m.v.data.slice(120)]);
  });
});

describeOnEveryAdapter("guidance-rescale", (getDevice) => {
  const PHI = 0.7;

  function factorsOf(halves: readonly { shape: Pictures; m: Values; scale: number }[]) {
    return evaluate(getDevice(), () =>
      halves.map(({ shape, m, scale }) => {
        const params = { ...sizesOf(shape), conditions: 1, weighted: false };
        const operands = { m: tensor(m.data, m.shape), ...rows(scale, 0, 0, 0, PHI) };
        return custom(guidanceRescale, params, operands, [shape[0], 1], "f32");
      }),
    );
  }

  function expectedOf(shape: Pictures, m: Values, scale: number): number[] {
    const g = reference.guided(m, shape, scale, [1]);
    const c = reference.guided(m, shape, 1, [1]);
    const spread = (x: Values, b: number) => reference.deviation(reference.picture(x, b));
    return Array.from({ length: shape[0] }, (_, b) => 1 + PHI * (spread(c, b) / spread(g, b) - 1));
  }

  it("compares the spreads of each picture, whatever their means", async () => {
    const r = random(23);
    const cases = SHAPES.map((shape, i) => {
      const data = r.normals(2 * numel(shape), 1 + i, 3 * i - 5);
      return { shape, m: values(data, shape.with(0, 2 * shape[0])), scale: [7.5, 2, 0.5][i % 3]! };
    });
    const results = await factorsOf(cases);
    cases.forEach(({ shape, m, scale }, i) => {
      const terms = numel(shape);
      close(results[i]!, expectedOf(shape, m, scale), { dtype: "f32", terms, magnitude: 8 });
    });
  });

  it("keeps values finite whose squares are not, or are zero", async () => {
    const shape = SHAPES[1]!;
    const normals = random(24).normals(2 * numel(shape));
    const cases = [1e34, 1e-30].map((size) => {
      const m = values(
        Float32Array.from(normals, (value) => value * size),
        [4, 3, 5, 4],
      );
      return { shape, m, scale: 7.5 };
    });
    const results = await factorsOf(cases);
    results.forEach((result, i) => {
      const expected = expectedOf(shape, values(normals, [4, 3, 5, 4]), 7.5);
      close(result, expected, { dtype: "f32", terms: 60, magnitude: 8, label: `case ${i}` });
    });
  });

  it("leaves pictures alone that have no spread, or are not guided", async () => {
    const flat = values(new Float32Array(2 * 4 * 35).fill(0.3), [2, 5, 7, 4]);
    const lively = values(random(25).normals(2 * 4 * 35), [2, 5, 7, 4]);
    const shape = [1, 5, 7, 4] as const;
    const results = await factorsOf([
      { shape, m: flat, scale: 7.5 },
      { shape, m: lively, scale: 1 },
    ]);
    assert.deepEqual(
      results.map(([factor]) => factor),
      [1, 1],
    );
  });
});

describeOnEveryAdapter("guidance-clean", (getDevice) => {
  it("is a·x + b·m of plane 0 of the state", async () => {
    const r = random(26);
    const cases = SHAPES.map((shape) => ({
      shape,
      state: normalOperand(r, [7, ...shape], "f32"),
      guided: normalOperand(r, shape, "f32"),
    }));
    const results = await evaluate(getDevice(), () =>
      cases.map(({ shape, state, guided }) =>
        custom(
          guidanceClean,
          sizesOf(shape),
          { state: state.t, guided: guided.t, ...rows(7.5, 14.6, -14.5) },
          shape,
          "f32",
        ),
      ),
    );
    cases.forEach(({ state, guided }, i) => {
      const expected = guided.v.data.map((m, at) => 14.6 * state.v.data[at]! - 14.5 * m);
      close(results[i]!, expected, { dtype: "f32", terms: 2, magnitude: 60 });
    });
  });
});

describeOnEveryAdapter("guidance-spread", (getDevice) => {
  it("gives each channel's mean and its largest distance from it, of huge values too", async () => {
    const r = random(27);
    const sizes = [1, 1, 5, 1, 1e36];
    const cases = SHAPES.map((shape, i) =>
      operand(
        r.normals(numel(shape), 1, 2).map((value) => value * sizes[i]!),
        shape,
      ),
    );
    const results = await evaluate(getDevice(), () =>
      cases.map(({ t }, i) => {
        const shape = SHAPES[i]!;
        return custom(guidanceSpread, sizesOf(shape), { x: t }, [shape[0], 4, 2], "f32");
      }),
    );
    cases.forEach(({ v }, i) => {
      const [batch, height, width] = SHAPES[i]!;
      const expected = Array.from({ length: 4 * batch }, (_, g) => {
        const own = reference.picture(v, g >> 2).filter((_, at) => at % 4 === g % 4);
        const centre = reference.mean(own);
        return [centre, Math.max(...own.map((value) => Math.abs(value - centre)))];
      }).flat();
      close(results[i]!, expected, { dtype: "f32", terms: height * width });
    });
  });
});

describeOnEveryAdapter("guidance-quantile", (getDevice) => {
  const limitsOf = (x: Values, groups: 1 | 4, below: number, weight: number, centres?: Values) => {
    const [batch, height, width] = x.shape as unknown as Pictures;
    const operands = { x: tensor(x.data, x.shape), ...rows(0, 0, 0, 0, 0, 0, below, weight) };
    const around = centres && { centres: tensor(centres.data, centres.shape) };
    const params = { batch, pixels: height * width, groups };
    return custom(guidanceQuantile, params, { ...operands, ...around }, [batch, groups, 1], "f32");
  };

  it("finds every rank exactly, among equal, huge and zero values too", async () => {
    const r = random(28);
    const data = r.normals(36).map((value) => Math.round(4 * value) / 4);
    data.set([3e38, -2e38, 0, -0, 1e-20, -1e-20, 2 ** -120]);
    const x = values(data, [1, 3, 3, 4]);
    const results = await evaluate(getDevice(), () =>
      Array.from(data, (_, rank) => [limitsOf(x, 1, rank, 0), limitsOf(x, 1, rank, 0.5)]).flat(),
    );
    const sorted = Float32Array.from(data, Math.abs).sort();
    const above = (rank: number) => sorted[Math.min(rank + 1, sorted.length - 1)]!;
    sorted.forEach((value, rank) => {
      assert.equal(results[2 * rank]![0], value, `rank ${rank}`);
      const middle = Math.fround(value + Math.fround(above(rank) - value) / 2);
      assert.equal(results[2 * rank + 1]![0], middle, `after rank ${rank}`);
    });
  });

  it("goes between ranks as torch.quantile does, in every picture", async () => {
    const r = random(29);
    const cases = SHAPES.map((shape) => normalOperand(r, shape, "f32").v);
    const ratios = [0.995, 0.5, 1, 0, 0.9];
    const results = await evaluate(getDevice(), () =>
      cases.map((x, i) => {
        const rank = Math.fround(Math.fround(ratios[i]!) * (x.data.length / x.shape[0]! - 1));
        return limitsOf(x, 1, Math.floor(rank), rank - Math.floor(rank));
      }),
    );
    cases.forEach((x, i) => {
      const expected = Array.from({ length: x.shape[0]! }, (_, b) =>
        reference.quantile(reference.picture(x, b), ratios[i]!),
      );
      close(results[i]!, expected, { dtype: "f32", terms: 2 });
    });
  });

  it("ranks each channel around its own centre", async () => {
    const r = random(30);
    const x = values(r.normals(2 * 15 * 4), [2, 3, 5, 4]);
    const centres = values(r.normals(16), [2, 4, 2]);
    const y = await evaluate(getDevice(), () => limitsOf(x, 4, 12, 0.25, centres));
    const expected = Array.from({ length: 8 }, (_, g) => {
      const own = reference.picture(x, g >> 2).filter((_, at) => at % 4 === g % 4);
      return reference.quantile(own, 12.25 / 14, centres.data[2 * g]!);
    });
    close(y, expected, { dtype: "f32", terms: 2 });
  });
});
