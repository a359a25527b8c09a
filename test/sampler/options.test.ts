import assert from "node:assert/strict";
import {
  createSampler,
  SAMPLER_NAMES,
  SAMPLER_VARIANTS,
  type SamplerOptions,
} from "../../sampler/index.ts";
import { skippedSteps } from "../../sampler/run.ts";

const SD2 = {
  _class_name: "PNDMScheduler",
  beta_start: 0.00085,
  beta_end: 0.012,
  beta_schedule: "scaled_linear",
  num_train_timesteps: 1000,
  set_alpha_to_one: false,
  skip_prk_steps: true,
  steps_offset: 1,
  clip_sample: false,
};
const AYS = [999, 850, 736, 645, 545, 455, 343, 233, 124, 24];

const refuses = (run: () => unknown, message: RegExp) =>
  assert.throws(run, (error: Error) => {
    assert.equal(error.name, "SamplerError");
    assert.match(error.message, message);
    return true;
  });
const timestepsOf = (name: string, steps: number, options: SamplerOptions = {}) =>
  createSampler(name, SD2, steps, options).rows.map(({ timestep }) => timestep);

describe("the names of samplers", () => {
  it("are eighteen, and with a spacing of sigmas where the solver has sigmas", () => {
    assert.equal(SAMPLER_NAMES.length, 18);
    assert.equal(SAMPLER_VARIANTS.length, 18 + 3 * 13);
    for (const name of SAMPLER_VARIANTS) assert.ok(createSampler(name, SD2, 4).rows.length >= 4);
  });

  it("mean with a spacing what the option means", () => {
    for (const spacing of ["karras", "exponential", "beta"] as const) {
      const named = createSampler(`dpmpp_2m_${spacing}`, SD2, 6);
      assert.deepEqual(createSampler("dpmpp_2m", SD2, 6, { sigmas: spacing }), named);
      assert.notDeepEqual(createSampler("dpmpp_2m", SD2, 6), named);
      assert.equal(named.name, "dpmpp_2m");
    }
  });

  it("choose the algorithm of DPM-Solver, whatever the file says", () => {
    const file = { ...SD2, _class_name: "DPMSolverMultistepScheduler" };
    const noisy = { ...file, algorithm_type: "sde-dpmsolver++" };
    assert.equal(createSampler(undefined, file, 4).name, "dpmpp_2m");
    assert.equal(createSampler(undefined, noisy, 4).name, "dpmpp_2m_sde");
    assert.deepEqual(createSampler("dpmpp_2m", noisy, 4), createSampler(undefined, file, 4));
    assert.deepEqual(createSampler("dpmpp_2m_sde", file, 4), createSampler(undefined, noisy, 4));
  });

  it("refuse a spacing where there are no sigmas, and one that is unknown", () => {
    refuses(() => createSampler("ddim_karras", SD2, 4), /ddim has no sigmas to space by karras/);
    refuses(() => createSampler("lcm", SD2, 4, { sigmas: "beta" }), /lcm has no sigmas/);
    refuses(() => createSampler("heum_karras", SD2, 4), /"heum_karras" is unknown/);
    const sigmas = "cosine" as never;
    refuses(
      () => createSampler("euler", SD2, 4, { sigmas }),
      /"cosine".*karras, exponential, beta/,
    );
  });
});

describe("strength", () => {
  it("runs the last steps, as many as diffusers does", () => {
    assert.deepEqual(timestepsOf("ddim", 10, { strength: 0.35 }), [201, 101, 1]);
    assert.deepEqual(timestepsOf("pndm", 10, { strength: 0.35 }), [301, 201, 101, 1]);
    assert.equal(timestepsOf("heun", 10, { strength: 0.35 }).length, 5);
  });

  it("names the least that leaves a step to run", () => {
    refuses(() => createSampler("ddim", SD2, 4, { strength: 0.2 }), /0\.25 or more, or steps 5/);
    for (let steps = 1; steps <= 1000; steps++) {
      try {
        skippedSteps(steps, 0.9 / steps);
        assert.fail(`${steps} steps run`);
      } catch (error) {
        const [, least, enough] = /has to be (\S+) or more, or steps (\d+)/.exec(String(error))!;
        assert.equal(skippedSteps(steps, Number(least)), steps - 1);
        assert.ok(skippedSteps(Number(enough), 0.9 / steps) < Number(enough));
      }
    }
  });

  it("is refused outside of 0 to 1", () => {
    for (const strength of [0, -1, 1.01, Number.NaN]) {
      refuses(() => createSampler("ddim", SD2, 4, { strength }), /strength is/);
    }
  });
});

describe("timesteps of one's own", () => {
  it("make the run that the same list makes by itself", () => {
    const leading = { ...SD2, timestep_spacing: "leading" };
    const rowsOf = (name: string, options: SamplerOptions = {}) =>
      createSampler(name, leading, 8, options);
    const listOf = (name: string) => rowsOf(name).rows.map(({ timestep }) => timestep);
    const like: Record<string, string> = { dpmpp_2m_sde: "dpmpp_2m", deis: "dpmpp_2m", tcd: "lcm" };
    const whole = ["dpmpp_2m", "dpmpp_2s", "unipc", "lcm"];
    for (const name of SAMPLER_NAMES.filter((each) => each !== "pndm")) {
      const timesteps = listOf(whole.includes(name) ? name : (like[name] ?? "ddim"));
      assert.deepEqual(rowsOf(name, { timesteps }), rowsOf(name), name);
    }
  });

  it("count as the steps, for strength too", () => {
    const run = createSampler("ddpm", SD2, 50, { timesteps: [900, 500, 100, 3], strength: 0.5 });
    assert.deepEqual(
      run.rows.map(({ timestep }) => timestep),
      [100, 3],
    );
  });

  it("align your steps: diffusers' ten, and others between them in log σ", () => {
    assert.deepEqual(timestepsOf("dpmpp_2m", 10, { timesteps: "ays" }), AYS);
    assert.deepEqual(
      timestepsOf("euler_a", 5, { timesteps: "ays" }),
      AYS.filter((_, i) => i % 2 === 0),
    );
    const twenty = timestepsOf("ddim", 20, { timesteps: "ays" });
    assert.deepEqual(
      twenty.filter((_, i) => i % 2 === 0),
      AYS,
    );
    assert.ok(twenty.every((timestep, i) => i === 0 || timestep < twenty[i - 1]!));
    refuses(() => timestepsOf("ddim", 900, { timesteps: "ays" }), /900 steps repeat/);
  });

  it("are refused where they cannot be followed", () => {
    const run = (timesteps: SamplerOptions["timesteps"], name = "euler") =>
      timestepsOf(name, 4, { timesteps: timesteps! });
    refuses(() => run([]), /list is empty/);
    refuses(() => run([1000, 5]), /1000 \(number 1\).*below 1000/);
    refuses(() => run([500, 500]), /500 \(number 2\)/);
    refuses(() => run([500, -1]), /-1 \(number 2\)/);
    refuses(() => run([500.5]), /500.5/);
    refuses(() => run([500, 5], "pndm"), /pndm takes no timesteps/);
    refuses(() => run("ays", "pndm"), /pndm takes no timesteps/);
    refuses(() => run([500, 5], "euler_karras"), /timesteps.*karras sigmas/);
    const short = { ...SD2, num_train_timesteps: 100 };
    refuses(() => createSampler("ddim", short, 5, { timesteps: "ays" }), /1000 training/);
  });
});

describe("keys over those of the file", () => {
  const over = (config: Record<string, unknown>, name?: string) =>
    createSampler(name, SD2, 6, { config });

  it("are as if they stood in it", () => {
    const spaced = { timestep_spacing: "trailing" };
    assert.deepEqual(over(spaced), createSampler(undefined, { ...SD2, ...spaced }, 6));
    const order = { solver_order: 3 };
    const third = createSampler("dpmpp_2m", { ...SD2, ...order }, 6);
    assert.deepEqual(over(order, "dpmpp_2m"), third);
    assert.notDeepEqual(over({}, "dpmpp_2m"), third);
    const range = { sigma_min: 0.1, sigma_max: 10, use_exponential_sigmas: true };
    assert.deepEqual(over(range, "euler"), createSampler("euler", { ...SD2, ...range }, 6));
  });

  it("are refused where the solver does not know or read them, and where they say how a model was trained", () => {
    refuses(() => over({ solver_order: 3 }, "ddim"), /ddim takes no solver_order.*timestep_spac/);
    refuses(() => over({ timestep_spacing: "leading" }, "lcm"), /lcm takes no timestep_spacing/);
    refuses(() => over({ beta_end: 0.02 }, "ddim"), /beta_end is how the model was trained/);
    refuses(() => over({ constructor: 1 }, "ddim"), /ddim takes no constructor/);
  });

  it("are refused with a value of another kind", () => {
    refuses(() => over({ euler_at_final: "yes" }, "dpmpp_2m"), /"yes", wanted a boolean/);
    refuses(() => over({ solver_type: "midpiont" }, "dpmpp_2m"), /wanted one of midpoint, heun/);
    refuses(() => over({ solver_order: 4 }, "dpmpp_2m"), /solver_order is 4/);
    refuses(() => over({ timestep_spacing: "even" }, "ddim"), /timestep_spacing "even" is not/);
    refuses(() => over({ disable_corrector: 2 }, "unipc"), /wanted a list/);
  });

  it("space sigma in one way only", () => {
    const both = { use_karras_sigmas: true, use_beta_sigmas: true };
    refuses(() => over(both, "euler"), /use_karras_sigmas and use_beta_sigmas exclude/);
    refuses(() => over({ use_lu_lambdas: true }, "dpmpp_2m_karras"), /exclude one another/);
  });
});

describe("what single solvers refuse", () => {
  const cases: [string, Record<string, unknown>, number, SamplerOptions, RegExp][] = [
    ["lcm", {}, 51, {}, /50 steps at the most/],
    ["tcd", {}, 51, {}, /50 steps at the most/],
    ["heun", {}, 4, { rescaleBetasZeroSnr: true }, /heun has no zero terminal SNR.*dpmpp_2m/],
    ["euler_a", { prediction_type: "sample" }, 4, {}, /prediction_type "sample"/],
    ["dpmpp_sde", { prediction_type: "sample" }, 4, {}, /prediction_type "sample"/],
    ["dpmpp_2m", { thresholding: true }, 4, {}, /dpmpp_2m would run with thresholding/],
    ["unipc", { use_flow_sigmas: true }, 4, {}, /unipc: use_flow_sigmas/],
    ["deis", { solver_order: 4 }, 4, {}, /solver_order is 4/],
    ["unipc", { solver_p: {} }, 4, {}, /solver_p/],
    ["dpmpp_2m", { variance_type: "learned" }, 4, {}, /variance_type/],
    ["ddpm", { variance_type: "learned_range" }, 4, {}, /variance_type "learned_range"/],
  ];
  for (const [name, more, steps, options, message] of cases) {
    it(`${name}: ${JSON.stringify({ ...more, ...options })} in ${steps} steps`, () => {
      refuses(() => createSampler(name, { ...SD2, ...more }, steps, options), message);
    });
  }

  it("dpmpp_2m: an algorithm on ε that would end at σ = 0", () => {
    const file = {
      ...SD2,
      _class_name: "DPMSolverMultistepScheduler",
      algorithm_type: "dpmsolver",
    };
    refuses(() => createSampler(undefined, file, 4), /wants final_sigmas_type sigma_min/);
  });

  it("ddpm: clipping where it would really run", () => {
    const { clip_sample: _, ...silent } = SD2;
    refuses(() => createSampler("ddpm", silent, 4), /ddpm would run with clip_sample/);
  });
});
