import { choiceOf, SamplerError, type SchedulerConfig } from "./config.ts";
import { solverOrder } from "./dpm-solver.ts";
import { lambdaSchedule, type Point } from "./lambda-schedule.ts";
import { cleanAt, epsilonAt } from "./prediction.ts";
import type { Run } from "./run.ts";
import { multistepRow, type Solution } from "./step.ts";

/**
 * Zhao et al. 2023, "UniPC", arXiv 2302.04867: every evaluation first corrects the
 * sample that it was taken at (UniC) and then predicts the next (UniP), of up to `solver_order`, which
 * the corrector exceeds by one. One evaluation a step.
 *
 * The corrector starts like the predictor before it, from the same corrected sample by the same factor:
 * their difference lies in the outputs alone. So the corrected sample is x and a sum of outputs, and the
 * one before need not be kept.
 */
export function unipc(config: SchedulerConfig, run: Run): Solution {
  if (config.solver_p !== null) throw new SamplerError("unipc: solver_p is not supported");
  const { type, timesteps, points, start } = lambdaSchedule("unipc", config, run);
  const onNoise = config.predict_x0 === false;
  const bh1 = choiceOf(config, "solver_type", SOLVER_TYPES) === "bh1";
  const highest = solverOrder(config);
  const uncorrected = config.disable_corrector as readonly number[];
  const orderOf = (n: number) => {
    const left = timesteps.length - run.skipped - n;
    return Math.min(highest, n + 1, config.lower_order_final === true ? left : highest);
  };
  const rows = timesteps.slice(run.skipped).map((timestep, n) => {
    const i = n + run.skipped;
    const [from, to] = [points[i]!, points[i + 1]!];
    const stepTo = (k: number, order: number): UniStep => ({
      ...{ from: points[k]!, to: points[k + 1]!, onNoise, bh1 },
      others: Array.from({ length: order - 1 }, (_, age) => points[k - 1 - age]!),
    });
    const corrects = n > 0 && !uncorrected.includes(i - 1);
    const correction = corrects ? corrector(stepTo(i - 1, orderOf(n - 1))) : [];
    const predictor = predict(stepTo(i, orderOf(n)));
    const factor = onNoise ? to.signal / from.signal : to.noise / from.noise;
    const weights = added(
      predictor,
      correction.map((weight) => factor * weight),
    );
    const clean = cleanAt(type, from);
    const made = onNoise ? epsilonAt(type, from) : clean;
    return multistepRow(timestep, n, made, factor, weights, { clean });
  });
  return { initNoiseSigma: 1, start, rows };
}

/** The first two are UniPC's; the others are those of classes whose files are read here as bh2. */
const SOLVER_TYPES = ["bh1", "bh2", "midpoint", "heun", "logrho"] as const;

type UniStep = {
  readonly from: Point;
  readonly to: Point;
  /** Points of the outputs before that at `from`, newest first. */
  readonly others: readonly Point[];
  readonly onNoise: boolean;
  readonly bh1: boolean;
};

/** Weights of the predictor: of the output at `from`, and of those before it. */
function predict(step: UniStep): number[] {
  const { others } = step;
  const { scale, first, ratios, sides } = termsOf(step);
  const rhos = others.length === 1 ? [0.5] : solve(ratios, sides, others.length);
  return weigh(scale, first, rhos, ratios);
}

/** What the corrector adds to the predicted sample: weights of the output there, and of those before. */
function corrector(step: UniStep): number[] {
  const { others } = step;
  const { scale, first, ratios, sides } = termsOf(step);
  const order = others.length + 1;
  const rhos = order === 1 ? [0.5] : solve([...ratios, 1], sides, order);
  const newest = rhos.at(-1)!;
  const corrected = weigh(scale, first, rhos.slice(0, -1), ratios);
  const predicted = predict(step);
  const [own, ...older] = corrected.map((weight, i) => weight - predicted[i]!);
  return [scale * newest, own! - scale * newest, ...older];
}

/** Σ ρ·(mᵢ − m0)/rᵢ·scale + first·m0, by output. */
function weigh(
  scale: number,
  first: number,
  rhos: readonly number[],
  ratios: readonly number[],
): number[] {
  const older = rhos.map((rho, i) => (scale * rho) / ratios[i]!);
  return [first - older.reduce((sum, weight) => sum + weight, 0), ...older];
}

/** B(h), the weight of the first output, rᵢ, and the right sides b of the conditions on ρ. */
function termsOf({ from, to, others, onNoise, bh1 }: UniStep) {
  const h = to.lambda - from.lambda;
  const signed = onNoise ? h : -h;
  const phi = Math.expm1(signed);
  const whole = onNoise ? to.noise : to.signal;
  const scale = -whole * (bh1 ? signed : phi);
  const ratios = others.map(({ lambda }) => (lambda - from.lambda) / h);
  const sides: number[] = [];
  let [rest, factorial] = [phi / signed - 1, 1];
  for (let k = 1; k <= others.length + 1; k++) {
    sides.push((rest * factorial) / (bh1 ? signed : phi));
    factorial *= k + 1;
    rest = rest / signed - 1 / factorial;
  }
  return { scale, first: -whole * phi, ratios, sides };
}

/** ρ of Σ rᵢ^(k−1)·ρᵢ = b_k, k = 1 … order, by elimination. */
function solve(ratios: readonly number[], sides: readonly number[], order: number): number[] {
  const rows = Array.from({ length: order }, (_, k) => [
    ...ratios.slice(0, order).map((ratio) => ratio ** k),
    sides[k]!,
  ]);
  for (let k = 0; k < order; k++) {
    const pivot = rows[k]!;
    for (const row of rows) {
      if (row === pivot) continue;
      const times = row[k]! / pivot[k]!;
      row.forEach((_, i) => {
        row[i]! -= times * pivot[i]!;
      });
    }
  }
  return rows.map((row, k) => row[order]! / row[k]!);
}

function added(a: readonly number[], b: readonly number[]): number[] {
  return Array.from({ length: Math.max(a.length, b.length) }, (_, i) => (a[i] ?? 0) + (b[i] ?? 0));
}
