/** The sampler's rows and the kernel that applies them, on model outputs that diffusers' scheduler was given. */
import { compile, custom, input } from "../../engine/index.ts";
import { createGenerator } from "../../engine/random.ts";
import { coefficientTable, noiseSource } from "../../model/denoise.ts";
import { createSampler } from "../../sampler/index.ts";
import { modelInput } from "../../shaders/model-input.ts";
import { STATE_PLANES, samplerStep, TABLE_COLUMNS } from "../../shaders/sampler-step.ts";
import { type Case, tensorOf } from "./dump.ts";
import type { Comparison } from "./judge.ts";
import type { Bench } from "./stages.ts";

/** Timesteps, scaled inputs and samples of every evaluation of a run. */
export async function samplerSteps(bench: Bench, each: Case): Promise<Comparison[]> {
  const { checkpoint, dump } = bench;
  const solver = (each.solver as string | null) ?? undefined;
  const sampler = createSampler(solver, checkpoint.scheduler.values, each.steps as number);
  const timesteps = each.timesteps as readonly number[];
  const given = ["inputs", "outputs", "samples"].map((key) => tensorOf(dump, each, key));
  const [inputs, outputs, samples] = given as [
    (typeof given)[0],
    (typeof given)[0],
    (typeof given)[0],
  ];
  const start = tensorOf(dump, each, "start");
  const made = await steps(bench, each, sampler, start, outputs);
  const name = (what: string) => `${each.name}: ${what}`;
  return [
    {
      name: name("timesteps"),
      kind: "exact",
      shape: [timesteps.length],
      actual: sampler.rows.map(({ timestep }) => Math.fround(timestep)),
      expected: timesteps.map(Math.fround),
    },
    {
      name: name("first noise"),
      kind: "host",
      shape: [1],
      actual: [sampler.initNoiseSigma],
      expected: [each.sigma as number],
    },
    { name: name("inputs"), kind: "host", ...expected(inputs), actual: made.inputs },
    { name: name("samples"), kind: "host", ...expected(samples), actual: made.samples },
  ];
}

type Values = ReturnType<typeof tensorOf>;

const expected = ({ shape, data }: Values) => ({ shape, expected: data });

/** [evaluations, h, w, 4] of what the kernels make, f32 as in every run. */
async function steps(
  { device }: Bench,
  each: Case,
  sampler: ReturnType<typeof createSampler>,
  start: Values,
  outputs: Values,
) {
  const [, height, width, channels] = start.shape as [number, number, number, number];
  const one = [1, height, width, channels];
  const stateShape = [STATE_PLANES, ...one];
  const state = input("state", stateShape, "f32");
  const table = input("table", [sampler.rows.length, TABLE_COLUMNS], "f32");
  const step = input("step", [1], "i32");
  const params = { pixels: height * width, repeats: 1 };
  const noise = sampler.draws > 0 && { noise: input("noise", one, "f32") };
  const operands = { state, m: input("m", one, "f32"), table, step, ...noise };
  const graph = {
    x: custom(modelInput, params, { state, table, step }, one, "f32"),
    next: custom(samplerStep, params, operands, stateShape, "f32"),
  };
  const plan = await compile(device, graph, { label: "sampler", carry: { state: "next" } });
  const size = start.data.length;
  const latents = { batch: 1, height, width, channels };
  const draw = noiseSource(createGenerator("torch", each.noiseSeed as number), latents);
  const made = {
    inputs: new Float32Array(outputs.data.length),
    samples: new Float32Array(outputs.data.length),
  };
  const first = new Float32Array(STATE_PLANES * size);
  first.set(start.data);
  plan.write("state", first);
  plan.write("table", coefficientTable(sampler, 1));
  try {
    for (const [i, row] of sampler.rows.entries()) {
      if ((i + 1) * size > made.samples.length) break;
      if (row.draws) plan.write("noise", draw());
      plan.write("step", [i]);
      plan.write("m", outputs.data.subarray(i * size, (i + 1) * size));
      plan.run();
      const [x, next] = await plan.readAll(["x", "next"]);
      made.inputs.set(x as Float32Array, i * size);
      made.samples.set((next as Float32Array).subarray(0, size), i * size);
    }
  } finally {
    await plan.destroy();
  }
  return made;
}
