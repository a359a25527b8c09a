import assert from "node:assert/strict";
import { custom, evaluate } from "../../engine/index.ts";
import { coefficientTable } from "../../model/denoise.ts";
import { createSampler, type Sampler, type Step } from "../../sampler/index.ts";
import { STATE_PLANES, samplerStep, TABLE_COLUMNS } from "../../shaders/sampler-step.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { normalOperand, operand } from "../support/operand.ts";
import { random } from "../support/random.ts";

const SHAPE = [1, 3, 5, 4];
const PIXELS = 15;
const PLANE = 4 * PIXELS;
const GUIDANCE = 3;
const [X, KEPT, SLOTS, BAD] = [0, 1, 2, 6];

const FILE = {
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  steps_offset: 1,
  clip_sample: false,
};

/** Rows that keep, store mixtures and read slots, and rows that add noise to all that. */
const RUNS = { quiet: ["unipc", "dpmpp_2s", "heun"], noisy: ["dpmpp_sde", "dpmpp_2m_sde", "lcm"] };

/** The rows of several runs, as if they were one. */
function rowsOf(names: readonly string[]): Sampler {
  const samplers = names.map((name) => createSampler(name, FILE, 4));
  return { ...samplers[0]!, rows: samplers.flatMap(({ rows }) => rows) };
}

/** The state after `row`, in float64, as sampler/step.ts states it. */
function after(row: Step, state: ArrayLike<number>, guided: number[], noise: ArrayLike<number>) {
  const plane = (i: number) => Array.from({ length: PLANE }, (_, at) => state[i * PLANE + at]!);
  const [x, kept] = [plane(X), row.keep ? plane(X) : plane(KEPT)];
  const slots = [0, 1, 2, 3].map((i) => plane(SLOTS + i));
  const next = x.map((value, at) => {
    const past = row.history.reduce((sum, weight, i) => sum + weight * slots[i]![at]!, 0);
    const now = row.x * value + row.kept * kept[at]! + row.output * guided[at]!;
    return now + past + (row.noise === 0 ? 0 : row.noise * noise[at]!);
  });
  const { store } = row;
  if (store) {
    slots[store.slot] = x.map((value, at) => {
      const made = store.x * value + store.output * guided[at]!;
      return made + (store.add ? slots[store.slot]![at]! : 0);
    });
  }
  return [...next, ...kept, ...slots.flat(), ...plane(BAD)];
}

describeOnEveryAdapter("sampler-step", (getDevice) => {
  const step = async (sampler: Sampler, repeats: 1 | 2, noisy: boolean) => {
    const r = random(7);
    const rows = sampler.rows.length;
    const table = operand(coefficientTable(sampler, GUIDANCE), [rows, TABLE_COLUMNS]);
    const states = sampler.rows.map(() => {
      const planes = r.normals(STATE_PLANES * PLANE, 1).fill(0, BAD * PLANE);
      return operand(planes, [STATE_PLANES, ...SHAPE]);
    });
    const m = normalOperand(r, [repeats, ...SHAPE.slice(1)], "f32");
    const noise = normalOperand(r, SHAPE, "f32");
    const params = { pixels: PIXELS, repeats };
    const results = await evaluate(getDevice(), () =>
      states.map((state, i) => {
        const number = operand([i], [1], "i32").t;
        const inputs = { state: state.t, m: m.t, table: table.t, step: number };
        const all = noisy ? { ...inputs, noise: noise.t } : inputs;
        return custom(samplerStep, params, all, [STATE_PLANES, ...SHAPE], "f32");
      }),
    );
    const guided = Array.from({ length: PLANE }, (_, at) => {
      const [first, second] = [m.v.data[at]!, m.v.data[PLANE + at]!];
      return repeats === 2 ? first + GUIDANCE * (second - first) : first;
    });
    sampler.rows.forEach((row, i) => {
      const expected = after(row, states[i]!.v.data, guided, noise.v.data);
      const factors = [
        row.x,
        row.kept,
        row.output,
        row.noise,
        ...row.history,
        row.store?.output ?? 1,
      ];
      const magnitude = Math.max(...factors.map(Math.abs)) * Math.max(...guided.map(Math.abs));
      const label = `row ${i} of ${noisy ? RUNS.noisy : RUNS.quiet}`;
      close(results[i]!, expected, { dtype: "f32", terms: 9, magnitude, label });
    });
  };

  for (const repeats of [1, 2] as const) {
    it(`applies rows of every kind ${repeats === 2 ? "with" : "without"} guidance`, async () => {
      await step(rowsOf(RUNS.quiet), repeats, false);
      await step(rowsOf(RUNS.noisy), repeats, true);
    });
  }

  it("leaves a noise alone whose factor is 0, whatever it holds", async () => {
    const sampler = createSampler("euler_a", FILE, 1);
    const [row] = sampler.rows;
    assert.deepEqual([row!.noise, row!.draws], [0, true]);
    const state = operand(new Float32Array(STATE_PLANES * PLANE).fill(1), [STATE_PLANES, ...SHAPE]);
    const [y] = await evaluate(getDevice(), () => [
      custom(
        samplerStep,
        { pixels: PIXELS, repeats: 1 },
        {
          state: state.t,
          m: operand(new Float32Array(PLANE), SHAPE).t,
          table: operand(coefficientTable(sampler, 1), [1, TABLE_COLUMNS]).t,
          step: operand([0], [1], "i32").t,
          noise: operand(new Float32Array(PLANE).fill(Number.NaN), SHAPE).t,
        },
        [STATE_PLANES, ...SHAPE],
        "f32",
      ),
    ]);
    assert.ok(y!.every(Number.isFinite));
  });
});
