import { SamplerError, type SchedulerConfig } from "./config.ts";
import {
  cleanOf,
  epsilonOf,
  type Linear,
  type PredictionType,
  predictionType,
} from "./prediction.ts";
import { type Run, startOfAlpha } from "./run.ts";
import { alphaReader, roundHalfEven, strideOf, timestepList, trainTimesteps } from "./schedule.ts";
import { HISTORY_SLOTS, inSlots, rawOutput, type Solution, type Update, update } from "./step.ts";

/**
 * Liu et al. 2022, "Pseudo Numerical Methods for Diffusion Models on Manifolds": the transfer of
 * eq. 9 along a combination of model outputs, by Adams-Bashforth of up to fourth order (PLMS). With
 * skip_prk_steps the second timestep is evaluated twice to start (steps + 1 evaluations); else three
 * Runge-Kutta steps of four evaluations come first (steps + 9).
 * Stored outputs are raw, and a v-prediction becomes noise after they are combined, with the sample
 * of the moment: diffusers does so. It also counts calls from the first that runs: a run that skips
 * steps takes its second call for the repeated one, and so never moves from there to the third.
 * Throws SamplerError for prediction_type sample, which diffusers refuses too, and for timesteps of the
 * caller's own: a step goes as far down as the mean stride.
 */
export function pndm(config: SchedulerConfig, run: Run): Solution {
  if (run.timesteps) {
    throw new SamplerError("pndm takes no timesteps of your own: its steps are of one length");
  }
  const timesteps = timestepList(config, run.steps).map(roundHalfEven);
  const stride = strideOf(trainTimesteps(config), run.steps);
  const plms = config.skip_prk_steps === true;
  const calls = (plms ? repeatSecond(timesteps) : prkFirst(timesteps, stride)).slice(run.skipped);
  const move = transfer(config);
  const rows = plms
    ? calls.map((timestep, i) => ({
        ...plmsCall(i, timestep, stride, move),
        keep: i === 0 && calls.length > 1,
      }))
    : prkCalls(calls, timesteps, stride, move);
  const [type, alphaAt] = [modelType(config), alphaReader(config)];
  return {
    ...{ initNoiseSigma: 1, start: startOfAlpha(config, calls[0]!) },
    rows: rows.map((row) => ({ ...row, clean: cleanOf(type, alphaAt(row.timestep)) })),
  };
}

function modelType(config: SchedulerConfig): PredictionType {
  return predictionType(config, ["epsilon", "v_prediction"]);
}

type Move = (from: number, to: number) => Linear;

/** Eq. 9: the sample at timestep `to` from the one at `from` and the combined model output. */
function transfer(config: SchedulerConfig): Move {
  const type = modelType(config);
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

function repeatSecond([first, second, ...others]: readonly number[]): number[] {
  return second === undefined ? [first!] : [first!, second, second, ...others];
}

/** Call number `i`: the second one goes back to where the first began, and so does not count. */
function plmsCall(i: number, timestep: number, stride: number, move: Move): Update {
  if (i === 1) return repeated(timestep, stride, move);
  return multistep(Math.max(i - 1, 0), timestep, stride, move);
}

/** The step from output number `index` (0 is the first stored) and up to three before it. */
function multistep(index: number, timestep: number, stride: number, move: Move): Update {
  const { x, output } = move(timestep, timestep - stride);
  const weights = WEIGHTS[Math.min(index, WEIGHTS.length - 1)]!;
  const older = weights.slice(1).map((weight, i) => [index - 1 - i, weight * output] as const);
  return update(timestep, x, output * weights[0]!, {
    history: inSlots(older),
    store: rawOutput(index % HISTORY_SLOTS),
  });
}

/** The first step again from the kept sample, with the mean of the outputs at its two ends. */
function repeated(timestep: number, stride: number, move: Move): Update {
  const { x, output } = move(timestep + stride, timestep);
  return update(timestep, 0, output / 2, { kept: x, history: inSlots([[0, output / 2]]) });
}

const RUNGE_KUTTA_STEPS = 3;
/** Runge-Kutta stores outputs 0 to 2, so the last slot is free to add up the middle ones. */
const SUM_SLOT = HISTORY_SLOTS - 1;

/** Four calls for each of the first steps: at its start, twice at its middle, at its end. */
function prkFirst(timesteps: readonly number[], stride: number): number[] {
  if (timesteps.length <= RUNGE_KUTTA_STEPS) {
    throw new SamplerError(
      `pndm with Runge-Kutta steps (skip_prk_steps false) takes 4 steps or more, not ${timesteps.length}`,
    );
  }
  const half = Math.floor(stride / 2);
  const quadruples = timesteps.slice(0, RUNGE_KUTTA_STEPS).flatMap((start, n) => {
    const end = timesteps[n + 1]!;
    return [start, end + half, end + half, end];
  });
  return [...quadruples, ...timesteps.slice(RUNGE_KUTTA_STEPS)];
}

function prkCalls(
  calls: readonly number[],
  timesteps: readonly number[],
  stride: number,
  move: Move,
): Update[] {
  const half = Math.floor(stride / 2);
  const count = 4 * RUNGE_KUTTA_STEPS;
  return calls.map((timestep, i) => {
    if (i >= count) return multistep(i - count + RUNGE_KUTTA_STEPS, timestep, stride, move);
    const n = Math.floor(i / 4);
    return rungeKutta(n, i % 4, timestep, half, (to) => move(timesteps[n]!, to));
  });
}

/**
 * One call of step `n` of the classical method, whose outputs count 1 : 2 : 2 : 1. The first and the
 * third look `half` a stride down from where they are; all of them move the sample at the start.
 */
function rungeKutta(
  n: number,
  call: number,
  timestep: number,
  half: number,
  from: (to: number) => Linear,
): Update {
  const { x, output } = from(call % 2 === 0 ? timestep - half : timestep);
  switch (call) {
    case 0:
      return update(timestep, x, output, { keep: true, store: rawOutput(n) });
    case 1:
      return update(timestep, 0, output, { kept: x, store: rawOutput(SUM_SLOT) });
    case 2:
      return update(timestep, 0, output, { kept: x, store: rawOutput(SUM_SLOT, true) });
    default:
      return update(timestep, 0, output / 6, {
        kept: x,
        history: inSlots([
          [n, output / 6],
          [SUM_SLOT, output / 3],
        ]),
      });
  }
}
