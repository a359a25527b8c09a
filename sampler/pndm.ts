import { SamplerError, type SchedulerConfig } from "./config.ts";
import { epsilonOf, type Linear, predictionType } from "./prediction.ts";
import { alphaReader, roundHalfEven, strideOf, timestepList, trainTimesteps } from "./schedule.ts";
import { HISTORY_SLOTS, type History, type Solution, type Step, step } from "./step.ts";

/**
 * Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds": the transfer of
 * eq. 9 along a combination of model outputs, by Adams-Bashforth of up to fourth order (PLMS). With
 * skip_prk_steps the second timestep is evaluated twice to start (steps + 1 evaluations); else three
 * Runge-Kutta steps of four evaluations come first (steps + 9).
 * Stored outputs are raw, and a v-prediction becomes noise after they are combined, with the sample
 * of the moment: diffusers does so.
 * Throws SamplerError for prediction_type sample, which diffusers refuses too.
 */
export function pndm(config: SchedulerConfig, steps: number): Solution {
  const timesteps = timestepList(config, steps).map(roundHalfEven);
  const stride = strideOf(trainTimesteps(config), steps);
  const move = transfer(config);
  const rows =
    config.skip_prk_steps === true
      ? plms(timesteps, stride, move)
      : rungeKutta(timesteps, stride, move);
  return { initNoiseSigma: 1, rows };
}

type Move = (from: number, to: number) => Linear;

/** Eq. 9: the sample at timestep `to` from the one at `from` and the combined model output. */
function transfer(config: SchedulerConfig): Move {
  const type = predictionType(config, ["epsilon", "v_prediction"]);
  const alphaAt = alphaReader(config);
  return (from, to) => {
    const [alpha, next] = [alphaAt(from), alphaAt(to)];
    const epsilon = epsilonOf(type, alpha);
    const spread = alpha * Math.sqrt(1 - next) + Math.sqrt(alpha * (1 - alpha) * next);
    const pull = (alpha - next) / spread;
    return { x: Math.sqrt(next / alpha) + pull * epsilon.x, output: pull * epsilon.output };
  };
}

/** Adams-Bashforth weights, newest output first, by how many there are. */
const WEIGHTS: readonly (readonly number[])[] = [
  [1],
  [3 / 2, -1 / 2],
  [23 / 12, -16 / 12, 5 / 12],
  [55 / 24, -59 / 24, 37 / 24, -9 / 24],
];

function plms(timesteps: readonly number[], stride: number, move: Move): Step[] {
  const [first, second, ...others] = timesteps;
  const start = multistep(0, first!, stride, move);
  if (second === undefined) return [start];
  return [
    { ...start, keep: true },
    repeated(second, stride, move),
    ...[second, ...others].map((timestep, i) => multistep(i + 1, timestep, stride, move)),
  ];
}

/** The step from output number `index` (0 is the first stored) and up to three before it. */
function multistep(index: number, timestep: number, stride: number, move: Move): Step {
  const { x, output } = move(timestep, timestep - stride);
  const weights = WEIGHTS[Math.min(index, WEIGHTS.length - 1)]!;
  const older = weights.slice(1).map((weight, i) => [index - 1 - i, weight * output] as const);
  return step(timestep, x, output * weights[0]!, {
    history: inSlots(older),
    store: { slot: index % HISTORY_SLOTS, add: false },
  });
}

/** The first step again from the kept sample, with the mean of the outputs at its two ends. */
function repeated(timestep: number, stride: number, move: Move): Step {
  const { x, output } = move(timestep + stride, timestep);
  return step(timestep, 0, output / 2, { kept: x, history: inSlots([[0, output / 2]]) });
}

/** Output number n lives in slot n mod 4. */
function inSlots(entries: readonly (readonly [number, number])[]): History {
  const slots: [number, number, number, number] = [0, 0, 0, 0];
  for (const [index, weight] of entries) slots[index % HISTORY_SLOTS] = weight;
  return slots;
}

const RUNGE_KUTTA_STEPS = 3;
/** Runge-Kutta stores outputs 0 to 2, so the last slot is free to add up the middle ones. */
const SUM_SLOT = HISTORY_SLOTS - 1;

function rungeKutta(timesteps: readonly number[], stride: number, move: Move): Step[] {
  if (timesteps.length <= RUNGE_KUTTA_STEPS) {
    throw new SamplerError(
      `pndm with Runge-Kutta steps (skip_prk_steps false) takes 4 steps or more, not ${timesteps.length}`,
    );
  }
  const half = Math.floor(stride / 2);
  const starts = timesteps.slice(0, RUNGE_KUTTA_STEPS);
  return [
    ...starts.flatMap((start, n) => quadruple(n, start, timesteps[n + 1]!, half, move)),
    ...timesteps
      .slice(RUNGE_KUTTA_STEPS)
      .map((timestep, i) => multistep(RUNGE_KUTTA_STEPS + i, timestep, stride, move)),
  ];
}

/**
 * One step of the classical method: outputs at the start, twice at the middle, at the end, in the
 * proportion 1 : 2 : 2 : 1. `half` is diffusers' half stride, the middle lies that far above the end.
 */
function quadruple(n: number, start: number, end: number, half: number, move: Move): Step[] {
  const middle = end + half;
  const from = (to: number) => move(start, to);
  const [toMiddle, again, toEnd, last] = [
    from(start - half),
    from(middle),
    from(middle - half),
    from(end),
  ];
  return [
    step(start, toMiddle.x, toMiddle.output, { keep: true, store: { slot: n, add: false } }),
    step(middle, 0, again.output, { kept: again.x, store: { slot: SUM_SLOT, add: false } }),
    step(middle, 0, toEnd.output, { kept: toEnd.x, store: { slot: SUM_SLOT, add: true } }),
    step(end, 0, last.output / 6, {
      kept: last.x,
      history: inSlots([
        [n, last.output / 6],
        [SUM_SLOT, last.output / 3],
      ]),
    }),
  ];
}
