import assert from "node:assert/strict";
import { createHash } from "node:crypto";
import { readFileSync } from "node:fs";
import { resolveConfig } from "../../sampler/config.ts";
import { createSampler, SAMPLER_CLASSES, type SamplerName } from "../../sampler/index.ts";
import { alphasCumprod } from "../../sampler/schedule.ts";
import { runSampler } from "../support/run-sampler.ts";
import { withStates } from "../support/traces.ts";

type Config = Record<string, unknown>;
type Row = {
  scheduler: SamplerName | null;
  /** Its place in `configs`. */
  config: number;
  steps: number;
  eta?: number;
  initNoiseSigma: number;
  timesteps: number[];
};
type Fixture = {
  configs: Config[];
  cases: Row[];
  timesteps: { scheduler: SamplerName; spacing: string; sha256: string }[];
  tables: { schedule: string; sha256: string }[];
};

const fixture: Fixture = JSON.parse(
  readFileSync(new URL("../fixtures/sampler-traces.json", import.meta.url), "utf8"),
);

const runs = (await withStates(fixture.cases, "sampler-traces.safetensors")).map((run) => ({
  ...run,
  config: fixture.configs[run.config]!,
}));
type Case = (typeof runs)[number];

const START = [-1.7, 0.3, 2.2];
const NOISE = [0.4, -1.1, 0.7];
const model = (x: number, timestep: number) => Math.sin(1.3 * x + 0.01 * timestep) + 0.2 * x;

/**
 * The traces are float64 on diffusers' float32 tables: what is left is the order of operations, which 50 steps of a model with slope up to 1.5 amplify. Where a table holds
 * square roots (Euler's sigmas, zero terminal SNR), PyTorch takes MKL's, of which a fifth are one
 * float32 step (6e-8) off the correctly rounded ones here.
 */
const TRACE_TOLERANCE = 1e-9;
const ROOT_TOLERANCE = 1e-6;

/** A folder's file, as SD2 folders hold it. */
const sd2 = (own: SamplerName, more: Record<string, unknown> = {}) => ({
  _class_name: SAMPLER_CLASSES[own],
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  num_train_timesteps: 1000,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  clip_sample: false,
  ...more,
});

describe("samplers against diffusers", () => {
  const groups = new Map<string, Case[]>();
  for (const run of runs) {
    const swap = run.scheduler === null ? "as it stands" : `swapped for ${run.scheduler}`;
    const title = `${run.config._class_name} ${run.config.prediction_type ?? "epsilon"}, ${swap}`;
    groups.set(title, [...(groups.get(title) ?? []), run]);
  }
  for (const [title, cases] of groups) {
    it(`${title}: every sample of ${cases.length} runs`, () => cases.forEach(compare));
  }

  function compare({ scheduler, config, steps, eta, ...expected }: Case): void {
    const sampler = createSampler(scheduler ?? undefined, config, steps, { eta: eta ?? 0 });
    const roots = sampler.name === "euler" || config.rescale_betas_zero_snr === true;
    const tolerance = roots ? ROOT_TOLERANCE : TRACE_TOLERANCE;
    const label = `${scheduler} ${steps} steps ${JSON.stringify(config)}`;
    assert.deepEqual(
      sampler.rows.map((row) => row.timestep),
      expected.timesteps,
      label,
    );
    const widening = sampler.initNoiseSigma / expected.initNoiseSigma;
    assert.ok(Math.abs(widening - 1) <= 2 ** -23, label);
    const start = START.map((value) => value * sampler.initNoiseSigma);
    const states = runSampler(sampler, start, model, () => NOISE);
    for (const [i, state] of states.entries()) {
      const scale = Math.max(...expected.states[i]!.map(Math.abs));
      for (const [j, value] of state.entries()) {
        const error = Math.abs(value - expected.states[i]![j]!) / scale;
        assert.ok(error <= tolerance, `${label}: step ${i} element ${j} is off by ${error}`);
      }
    }
  }

  for (const { scheduler, spacing, sha256 } of fixture.timesteps) {
    it(`${scheduler} ${spacing}: the timesteps of every step count from 1 to 200`, () => {
      const hash = createHash("sha256");
      const config = sd2(scheduler, { timestep_spacing: spacing });
      for (let steps = 1; steps <= 200; steps++) {
        const { rows } = createSampler(undefined, config, steps);
        hash.update(Float32Array.from(rows, (row) => row.timestep));
      }
      assert.equal(hash.digest("hex"), sha256);
    });
  }

  for (const { schedule, sha256 } of fixture.tables) {
    it(`${schedule}: torch's bits of ᾱ`, () => {
      const [, config] = resolveConfig(undefined, sd2("ddim", { beta_schedule: schedule }));
      assert.equal(createHash("sha256").update(alphasCumprod(config)).digest("hex"), sha256);
    });
  }
});

/** The check values of the SD2 and x4 schedules. */
describe("the published schedules", () => {
  const close = (actual: number, expected: number, digits: number) =>
    assert.ok(Math.abs(actual / expected - 1) < 10 ** -digits, `${actual} is not ${expected}`);
  const tableOf = (more: Record<string, unknown> = {}) =>
    alphasCumprod(resolveConfig(undefined, sd2("ddim", more))[1]);
  const sigma = (alpha: number) => Math.sqrt((1 - alpha) / alpha);
  const timesteps = (name: SamplerName, steps: number, timestep_spacing: string) =>
    createSampler(undefined, sd2(name, { timestep_spacing }), steps).rows.map(
      (row) => row.timestep,
    );

  it("SD2: ᾱ and σ at the ends and at 981", () => {
    const table = tableOf();
    close(table[0]!, 0.99915, 7);
    close(table[999]!, 0.0046600985, 6);
    close(table[981]!, 0.0057755, 5);
    close(sigma(table[0]!), 0.0291672, 4);
    close(sigma(table[999]!), 14.6146412, 6);
    close(sigma(table[981]!), 13.1204, 5);
  });

  it("x4: ᾱ and σ at the ends, at 20 and at 350", () => {
    const table = tableOf({ beta_start: 0.0001, beta_end: 0.02 });
    close(table[0]!, 0.9999, 7);
    close(table[999]!, 0.00073341246, 6);
    close(table[20]!, 0.9973013, 7);
    close(table[350]!, 0.6404841, 7);
    close(sigma(table[999]!), 36.911912, 6);
  });

  it("leading with offset 1 runs from the first to 1, and PNDM repeats its second timestep", () => {
    for (const [steps, first] of [
      [20, 951],
      [25, 961],
      [30, 958],
      [50, 981],
      [75, 963],
    ] as const) {
      const list = timesteps("ddim", steps, "leading");
      assert.deepEqual([list.length, list[0], list.at(-1)], [steps, first, 1]);
    }
    const pndm = timesteps("pndm", 50, "leading");
    assert.equal(pndm.length, 51);
    assert.deepEqual(pndm.slice(0, 4), [981, 961, 961, 941]);
  });

  it("trailing starts at 999", () => {
    assert.deepEqual(timesteps("euler", 1, "trailing"), [999]);
    assert.deepEqual(timesteps("euler", 2, "trailing"), [999, 499]);
    assert.deepEqual(timesteps("ddim", 3, "trailing"), [999, 666, 332]);
    assert.deepEqual(timesteps("ddim", 4, "trailing"), [999, 749, 499, 249]);
  });

  it("Euler swapped into a file without timestep_spacing runs linspace, in fractions", () => {
    const { rows, initNoiseSigma } = createSampler("euler", sd2("pndm"), 25);
    assert.deepEqual(
      rows.slice(0, 2).map((row) => row.timestep),
      [999, 957.375],
    );
    close(initNoiseSigma, 14.6146412, 6);
  });

  it("Euler widens the first noise to √(σ₀²+1) for leading spacing", () => {
    const config = sd2("euler", { timestep_spacing: "leading" });
    close(createSampler(undefined, config, 25).initNoiseSigma, 11.7188, 5);
    close(createSampler(undefined, config, 50).initNoiseSigma, 13.1585, 5);
  });

  it("one trailing Euler step is x − σ·ε on the scaled sample (SD-Turbo)", () => {
    const config = sd2("euler", { timestep_spacing: "trailing" });
    const [row] = createSampler(undefined, config, 1).rows;
    close(row!.inputScale, 1 / Math.sqrt(14.6146412 ** 2 + 1), 6);
    assert.equal(row!.x, 1);
    close(row!.output, -14.6146412, 6);
  });
});

describe("what a sampler refuses", () => {
  const refuses = (run: () => unknown, message: RegExp) =>
    assert.throws(run, (error: Error) => {
      assert.equal(error.name, "SamplerError");
      assert.match(error.message, message);
      return true;
    });

  it("an unknown name or class, listing what there is", () => {
    refuses(() => createSampler("heum", sd2("ddim"), 5), /"heum".*ddim, ddpm, pndm, lms, euler/);
    const other = { ...sd2("ddim"), _class_name: "EDMEulerScheduler" };
    refuses(() => createSampler(undefined, other, 5), /EDMEuler.*EulerDiscreteScheduler/);
    const none = { ...sd2("ddim"), _class_name: null };
    refuses(() => createSampler(undefined, none, 5), /_class_name null/);
    refuses(() => createSampler(undefined, {}, 5), /_class_name undefined/);
    assert.equal(createSampler("euler", other, 5).name, "euler");
  });

  it("clipping where it would really run, and only there", () => {
    const { clip_sample: _, ...silent } = sd2("ddim");
    refuses(() => createSampler("ddim", silent, 5), /clip_sample/);
    refuses(() => createSampler(undefined, sd2("ddim", { thresholding: true }), 5), /thresholding/);
    assert.equal(createSampler(undefined, silent, 5).rows.length, 5);
    assert.equal(createSampler("ddim", sd2("pndm", { clip_sample: true }), 5).rows.length, 5);
    assert.equal(createSampler("euler", silent, 5).rows.length, 5);
  });

  it("step counts outside 1 to 1000, and those that leave the trained range", () => {
    for (const steps of [0, -1, 1.5, Number.NaN, 1001]) {
      refuses(() => createSampler(undefined, sd2("ddim"), steps), /steps is/);
    }
    refuses(() => createSampler(undefined, sd2("ddim"), 1000), /timestep 1000/);
    const rungeKutta = sd2("pndm", { skip_prk_steps: false });
    refuses(() => createSampler(undefined, rungeKutta, 3), /4 steps/);
  });

  it("settings that the solver does not follow", () => {
    const cases: [SamplerName, Record<string, unknown>, RegExp][] = [
      [
        "ddim",
        { prediction_type: "flow" },
        /prediction_type "flow".*epsilon, v_prediction, sample/,
      ],
      ["pndm", { prediction_type: "sample" }, /prediction_type "sample"/],
      ["ddim", { beta_schedule: "sigmoid" }, /beta_schedule "sigmoid"/],
      ["ddim", { timestep_spacing: "karras" }, /timestep_spacing "karras"/],
      ["ddim", { beta_start: "small" }, /beta_start is "small"/],
      ["ddim", { num_train_timesteps: 0 }, /num_train_timesteps is 0/],
      ["euler", { timestep_type: "continuous" }, /timestep_type/],
      ["euler", { interpolation_type: "log_linear" }, /interpolation_type/],
    ];
    for (const [name, more, message] of cases) {
      refuses(() => createSampler(undefined, sd2(name, more), 5), message);
    }
  });

  it("a schedule that ends in pure noise under an ε-model, where diffusers paints NaN", () => {
    const config = sd2("ddim", { rescale_betas_zero_snr: true, timestep_spacing: "trailing" });
    refuses(() => createSampler(undefined, config, 5), /timestep 999 divides by zero/);
  });

  it("an eta outside 0 to 1", () => {
    refuses(() => createSampler(undefined, sd2("ddim"), 5, { eta: -1 }), /eta is -1/);
  });
});

describe("the table of a run", () => {
  it("says how many buffers it needs", () => {
    const needs = (name: SamplerName, steps: number, more = {}) => {
      const { keeps, slots } = createSampler(undefined, sd2(name, more), steps);
      return { keeps, slots };
    };
    assert.deepEqual(needs("ddim", 25), { keeps: false, slots: 0 });
    assert.deepEqual(needs("euler", 25), { keeps: false, slots: 0 });
    assert.deepEqual(needs("pndm", 25), { keeps: true, slots: 4 });
    assert.deepEqual(needs("pndm", 25, { skip_prk_steps: false }), { keeps: true, slots: 4 });
  });

  it("counts steps + 1 evaluations for PLMS and steps + 9 after Runge-Kutta", () => {
    assert.equal(createSampler(undefined, sd2("pndm"), 50).rows.length, 51);
    const rungeKutta = sd2("pndm", { skip_prk_steps: false });
    assert.equal(createSampler(undefined, rungeKutta, 50).rows.length, 59);
  });
});
