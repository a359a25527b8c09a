import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createSampler, SAMPLER_NAMES, type SamplerOptions } from "../../sampler/index.ts";
import { runSampler } from "../support/run-sampler.ts";
import { withStates } from "../support/traces.ts";

type Config = Record<string, unknown>;
type Run = {
  name?: string;
  file: string;
  steps: number;
  inside?: Config;
  options?: SamplerOptions;
  initNoiseSigma: number;
  start?: [number, number];
  draws: number;
  timesteps: number[];
};
const fixture: { files: Record<string, Config>; runs: Run[] } = JSON.parse(
  readFileSync(new URL("../fixtures/solver-traces.json", import.meta.url), "utf8"),
);
const runs = await withStates(fixture.runs, "solver-traces.safetensors");

type Case = (typeof runs)[number];

// As tools/reference/solver_traces.py has them.
const START = [-1.7, 2.2];
const FIRST_NOISE = [0.6, -1.2];
const noise = (draw: number) => START.map((_, i) => 1.3 * Math.cos(2.1 * draw + 1.7 * i + 0.4));
const model = (x: number, timestep: number) => Math.sin(1.3 * x + 0.01 * timestep) + 0.2 * x;

/** Order of operations alone, as in sampler.test.ts. */
const TRACE_TOLERANCE = 1e-9;
/**
 * A fifth of PyTorch's square roots lie one float32 step (6e-8) off ours, and so do σ and the timesteps
 * that follow from log σ. Up to 16 steps of a model with slope up to 1.5 make at most 2.6e-6 of it (dpm2_a
 * with exponential sigmas); every other solver stays below 1.4e-6.
 */
const ROOT_TOLERANCE = 4e-6;
/** A step of log σ, 2.4e-7 near σmax, over the 0.004 that lie between two timesteps there. */
const TIMESTEP_TOLERANCE = 1e-4;

/** Solvers that take no root of a table's entry but in float64. */
const ON_ALPHAS = ["ddim", "ddpm", "pndm", "lcm", "tcd"];

describe("every solver against diffusers", () => {
  const groups = new Map<string, Case[]>();
  for (const run of runs) {
    const title = run.name ?? `${run.inside!._class_name}'s file`;
    groups.set(title, [...(groups.get(title) ?? []), run]);
  }
  for (const [title, runs] of groups) {
    it(`${title}: every sample of ${runs.length} runs`, () => runs.forEach(compare));
  }

  it("leaves no solver out", () => {
    const run = new Set(fixture.runs.map(({ name }) => name));
    assert.deepEqual(
      SAMPLER_NAMES.filter((name) => !run.has(name)),
      [],
    );
  });

  it("takes the keys of a file from a caller, to the same samples", () => {
    const over = runs.map(withoutFile).filter((run) => run !== undefined);
    assert.ok(over.length >= 30, `${over.length} runs`);
    over.forEach(compare);
  });

  function compare({ name, file, steps, inside, options = {}, ...expected }: Case): void {
    const label = JSON.stringify({ name, file, steps, inside, options });
    const sampler = createSampler(name, { ...fixture.files[file], ...inside }, steps, options);
    const rooted = !ON_ALPHAS.includes(sampler.name) || options.rescaleBetasZeroSnr === true;
    const tolerance = rooted ? ROOT_TOLERANCE : TRACE_TOLERANCE;
    closeTo(
      sampler.rows.map(({ timestep }) => timestep),
      expected.timesteps,
      {
        limit: isFromSigma(sampler.name, { inside, options }) ? TIMESTEP_TOLERANCE : 0,
        label: `${label}: timesteps`,
      },
    );
    assert.equal(sampler.draws, expected.draws, `${label}: draws`);
    const close = { limit: 2e-7 * sampler.initNoiseSigma, label };
    closeTo([sampler.initNoiseSigma], [expected.initNoiseSigma], close);
    const { image, noise: spread } = sampler.start;
    if (expected.start) closeTo([image, spread], expected.start, close);
    const start = START.map((value, i) =>
      expected.start ? image * value + spread * FIRST_NOISE[i]! : sampler.initNoiseSigma * value,
    );
    const states = runSampler(sampler, start, model, noise);
    assert.equal(states.length, expected.states.length, label);
    states.forEach((state, i) => {
      const scale = Math.max(...expected.states[i]!.map(Math.abs));
      const limit = tolerance * scale;
      closeTo(state, expected.states[i]!, { limit, label: `${label}: row ${i}` });
    });
  }
});

/** The same run with the keys that a file holds inside given as settings; undefined where they cannot be. */
function withoutFile({ inside = {}, ...run }: Case): Case | undefined {
  const { _class_name, prediction_type, ...config } = inside;
  const lost = prediction_type ?? (run.name === "pndm" ? config.rescale_betas_zero_snr : undefined);
  if (lost !== undefined || Object.keys(config).length === 0) return undefined;
  const file = _class_name === undefined ? {} : { inside: { _class_name } };
  return { ...run, ...file, options: { ...run.options, config } };
}

/** Whether timesteps, or those of the middles, follow from σ by a logarithm. */
function isFromSigma(
  name: string,
  run: { inside: Config | undefined; options: SamplerOptions },
): boolean {
  const spaced = /use_\w+_sigmas|use_lu/.test(JSON.stringify(run));
  return run.options.sigmas !== undefined || spaced || /dpm2|sde|2s_a/.test(name);
}

function closeTo(
  actual: readonly number[],
  expected: readonly number[],
  { limit, label }: { limit: number; label: string },
): void {
  assert.equal(actual.length, expected.length, label);
  actual.forEach((value, i) => {
    const error = Math.abs(value - expected[i]!);
    assert.ok(error <= limit, `${label}: ${value} is not ${expected[i]} (off by ${error})`);
  });
}
