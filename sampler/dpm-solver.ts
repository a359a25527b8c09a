import { choiceOf, numberOf, SamplerError, type SchedulerConfig } from "./config.ts";
import { type LambdaSchedule, lambdaSchedule, type Point } from "./lambda-schedule.ts";
import { cleanAt, epsilonAt, type Linear } from "./prediction.ts";
import type { Run } from "./run.ts";
import { HISTORY_SLOTS, inSlots, multistepRow, type Solution, type Step, step } from "./step.ts";

const ALGORITHMS = ["dpmsolver++", "dpmsolver", "sde-dpmsolver++", "sde-dpmsolver"] as const;

/** The factors of x, of D0, D1 and D2 (the model and its differences) and of the noise in one step. */
type Factors = {
  readonly x: number;
  readonly d0: number;
  readonly d1: number;
  readonly d2: number;
  readonly noise: number;
};

type Solver = LambdaSchedule & {
  readonly order: number;
  readonly draws: boolean;
  /** x0 or ε of a point, whichever the algorithm integrates. */
  readonly model: (at: Point) => Linear;
  readonly factors: (from: Point, to: Point, order: number) => Factors;
};

/**
 * Lu et al. 2022, "DPM-Solver++", arXiv 2211.01095, algorithm 2 (2M), of up to third order, its
 * stochastic form, and with `algorithm_type` dpmsolver the one on ε, arXiv 2206.00927.
 * One evaluation a step. The stochastic ones draw a noise for each, also for a last step to σ = 0.
 */
export function dpmMultistep(config: SchedulerConfig, run: Run): Solution {
  const solver = solverOf("dpmpp_2m", config, run);
  const { type, timesteps, points, model, factors, draws } = solver;
  const rows = timesteps.slice(run.skipped).map((timestep, n) => {
    const i = n + run.skipped;
    const order = Math.min(solver.order, n + 1, orderAt(config, i, timesteps.length));
    const step = factors(points[i]!, points[i + 1]!, order);
    const weights = differences(step, points.slice(i + 1 - order, i + 2));
    return multistepRow(timestep, n, model(points[i]!), step.x, weights, {
      ...{ noise: step.noise, draws, clean: cleanAt(type, points[i]!) },
    });
  });
  return { initNoiseSigma: 1, start: solver.start, rows };
}

/** The last steps of a short run, and one to σ = 0, are of lower order. */
function orderAt(config: SchedulerConfig, i: number, count: number): number {
  const short = config.lower_order_final === true && count < 15;
  const last = config.euler_at_final === true || short || config.final_sigmas_type === "zero";
  if (i === count - 1 && last) return 1;
  return i === count - 2 && short ? 2 : 3;
}

/** Weights of the newest model output and of those before it. `points`: theirs from the oldest, and the target. */
function differences({ d0, d1, d2 }: Factors, points: readonly Point[]): number[] {
  const [target, newest, second, third] = points.map(({ lambda }) => lambda).reverse();
  if (second === undefined) return [d0];
  const h = target! - newest!;
  const r0 = (newest! - second) / h;
  if (third === undefined) return [d0 + d1 / r0, -d1 / r0];
  const r1 = (second - third) / h;
  // D1 = a + (a − b)·r0/(r0 + r1) and D2 = (a − b)/(r0 + r1), where a = (m0 − m1)/r0, b = (m1 − m2)/r1.
  const change = (d1 * r0 + d2) / (r0 + r1);
  const [ofA, ofB] = [(d1 + change) / r0, -change / r1];
  return [d0 + ofA, ofB - ofA, -ofB];
}

/**
 * The same integrals in single steps of up to `solver_order` evaluations (Lu et al. 2022, algorithm 1):
 * each evaluation goes all the way from the sample that the step began with. One evaluation a timestep.
 */
export function dpmSinglestep(config: SchedulerConfig, run: Run): Solution {
  const solver = solverOf("dpmpp_2s", config, run);
  const { type, timesteps, points, model, factors, draws } = solver;
  const orders = orderList(config, solver.order, timesteps.length);
  const rows = timesteps.slice(run.skipped).map((timestep, n): Step => {
    const i = n + run.skipped;
    const order = Math.min(orders[i]!, n + 1);
    const base = points[i + 1 - order]!;
    const move = factors(base, points[i + 1]!, order);
    const [own = 0, ...older] = fromBase(config, move, points.slice(i + 1 - order, i + 2));
    const made = model(points[i]!);
    const begins = order === 1;
    return step(timestep, (begins ? move.x : 0) + own * made.x, own * made.output, {
      ...{ keep: begins, kept: begins ? 0 : move.x, noise: move.noise, draws },
      history: inSlots(older.map((weight, age) => [n - 1 - age, weight] as const)),
      store: { slot: n % HISTORY_SLOTS, ...made, add: false },
      clean: cleanAt(type, points[i]!),
    });
  });
  return { initNoiseSigma: 1, start: solver.start, rows };
}

/** Weights as above, where the differences are taken from the oldest output: D0 is that one. */
function fromBase(
  config: SchedulerConfig,
  { d0, d1, d2 }: Factors,
  points: readonly Point[],
): number[] {
  const [base, second, third, fourth] = points.map(({ lambda }) => lambda);
  if (third === undefined) return [d0];
  if (fourth === undefined) {
    const r = (second! - base!) / (third - base!);
    return [d1 / r, d0 - d1 / r];
  }
  const h = fourth - base!;
  const [r0, r1] = [(third - base!) / h, (second! - base!) / h];
  // a = (m1 − m2)/r1 and b = (m0 − m2)/r0 are the slopes to the two later outputs.
  const heun = config.solver_type === "heun";
  const ofA = heun ? (d1 * r0 - 2 * d2) / (r0 - r1) / r1 : 0;
  const ofB = heun ? (2 * d2 - d1 * r1) / (r0 - r1) / r0 : d1 / r0;
  return [ofB, ofA, d0 - ofA - ofB];
}

/** The order of each evaluation in its step: 1, 2, 1, 2, … with a last one that fits. */
function orderList(config: SchedulerConfig, order: number, steps: number): number[] {
  const zero = config.final_sigmas_type === "zero";
  const lower = config.lower_order_final === true || zero || steps % order !== 0;
  const orders = Array.from({ length: steps }, (_, i) => (i % order) + 1);
  // What would end with a whole step ends with one evaluation fewer, and one step of order 1.
  if (lower && steps % order === 0) orders[steps - 1] = 1;
  if (zero) orders[steps - 1] = 1;
  return orders;
}

function solverOf(name: "dpmpp_2m" | "dpmpp_2s", config: SchedulerConfig, run: Run): Solver {
  const algorithm = algorithmOf(config);
  if (config.variance_type !== null && config.variance_type !== undefined) {
    throw new SamplerError(`${name}: variance_type is for models that learn it, which this is not`);
  }
  const schedule = lambdaSchedule(name, config, run);
  const heun = config.solver_type === "heun";
  const onNoise = algorithm === "dpmsolver" || algorithm === "sde-dpmsolver";
  if (onNoise && config.final_sigmas_type === "zero") {
    throw new SamplerError(
      `${name}: algorithm_type ${algorithm} wants final_sigmas_type sigma_min`,
    );
  }
  return {
    ...schedule,
    order: solverOrder(config),
    draws: algorithm.startsWith("sde-"),
    model: (at) => (onNoise ? epsilonAt : cleanAt)(schedule.type, at),
    factors: (from, to, order) => factorsOf(algorithm, from, to, order === 3 || heun),
  };
}

/** Names of other classes' algorithms mean the usual one, as diffusers reads them. */
function algorithmOf(config: SchedulerConfig): (typeof ALGORITHMS)[number] {
  if (config.algorithm_type === "deis") return "dpmsolver++";
  return choiceOf(config, "algorithm_type", ALGORITHMS);
}

/** Throws SamplerError above the third order. */
export function solverOrder(config: SchedulerConfig): number {
  const order = numberOf(config, "solver_order");
  if ([1, 2, 3].includes(order)) return order;
  throw new SamplerError(`scheduler_config.json: solver_order is ${order}, wanted 1, 2 or 3`);
}

/** The exact integrals over h = λ(to) − λ(from), D1 by its midpoint or, as `heun`, by its own integral. */
function factorsOf(
  algorithm: (typeof ALGORITHMS)[number],
  from: Point,
  to: Point,
  heun: boolean,
): Factors {
  const h = to.lambda - from.lambda;
  const decay = to.sigma / from.sigma;
  switch (algorithm) {
    case "dpmsolver++":
      return {
        x: to.noise / from.noise,
        d0: to.signal * (1 - decay),
        d1: to.signal * (heun ? (decay - 1) / h + 1 : (1 - decay) / 2),
        d2: -to.signal * ((decay - 1 + h) / h ** 2 - 0.5),
        noise: 0,
      };
    case "sde-dpmsolver++": {
      const lost = 1 - decay ** 2;
      return {
        x: (to.noise / from.noise) * decay,
        d0: to.signal * lost,
        d1: to.signal * (heun ? 1 - lost / (2 * h) : lost / 2),
        d2: to.signal * ((lost - 2 * h) / (2 * h) ** 2 - 0.5),
        noise: to.noise * Math.sqrt(lost),
      };
    }
    case "dpmsolver":
      return noiseFactors(from, to, h, heun, 1);
    case "sde-dpmsolver":
      return {
        ...noiseFactors(from, to, h, heun, 2),
        noise: to.noise * Math.sqrt(decay ** -2 - 1),
      };
  }
}

/** On ε the integrals grow by e^h; the stochastic form takes them twice. */
function noiseFactors(from: Point, to: Point, h: number, heun: boolean, times: number): Factors {
  const growth = from.sigma / to.sigma - 1;
  return {
    x: to.signal / from.signal,
    d0: -times * to.noise * growth,
    d1: -times * to.noise * (heun ? growth / h - 1 : growth / 2),
    d2: -times * to.noise * ((growth - h) / h ** 2 - 0.5),
    noise: 0,
  };
}
