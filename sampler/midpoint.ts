import type { SchedulerConfig } from "./config.ts";
import { drift } from "./euler.ts";
import { ancestral, kSchedule, seenAt } from "./k-schedule.ts";
import {
  cleanOfSigma,
  type Linear,
  type PredictionType,
  predictionType,
  slopeOfSigma,
} from "./prediction.ts";
import type { Run } from "./run.ts";
import { type Solution, type Step, step } from "./step.ts";

/**
 * Solvers of two evaluations a step: one at its start leads to a middle, where a second one says how
 * the sample at the start goes all the way. The last step, to σ = 0, is one of Euler's: 2·steps − 1.
 * Throw SamplerError for prediction_type sample, which diffusers refuses too.
 */
type Method = {
  /** Where the first evaluation leads from σ towards `next`, and the noise that it adds there. */
  readonly middle: (
    sigma: number,
    next: number,
  ) => { readonly sigma: number; readonly to: Ancestral };
  /** Where the second leads, and its noise. */
  readonly end: (sigma: number, next: number) => Ancestral;
  /** x at `to` from the kept sample at σ and the output at the middle: its factor, and that output's. */
  readonly move: (type: PredictionType, sigma: number, middle: number, to: number) => Move;
  readonly noise: { readonly middle: boolean; readonly end: boolean };
  /** Karras's timesteps in whole numbers. */
  readonly whole: boolean;
};
type Ancestral = { readonly up: number; readonly down: number };
type Move = { readonly kept: number; readonly middle: Linear };

/** k-diffusion's sample_dpm_2, after Karras et al. 2022, algorithm 2 with the midpoint in log σ. */
export const dpm2 = solver({
  middle: (sigma, next) => meet(sigma, next),
  end: (_, next) => ({ up: 0, down: next }),
  move: alongSlope,
  noise: { middle: false, end: false },
  whole: true,
});

/** The same to a σ below the next one, and noise up to it (sample_dpm_2_ancestral). */
export const dpm2Ancestral = solver({
  middle: (sigma, next) => meet(sigma, ancestral(sigma, next).down),
  end: ancestral,
  move: alongSlope,
  noise: { middle: false, end: true },
  whole: true,
});

/**
 * Lu et al. 2022, "DPM-Solver++", algorithm 1 (2S) with r = 1/2, to a σ below the next one, and noise
 * up to it: k-diffusion's sample_dpmpp_2s_ancestral, which diffusers lacks.
 */
export const dpmpp2sAncestral = solver({
  middle: (sigma, next) => meet(sigma, ancestral(sigma, next).down),
  end: ancestral,
  move: alongClean,
  noise: { middle: false, end: true },
  whole: false,
});

/**
 * k-diffusion's sample_dpmpp_sde, the stochastic form of the same with
 * r = 1/2: both evaluations add noise. diffusers takes it from a Brownian tree, we draw plain noise:
 * the same distribution, other pictures.
 */
export const dpmppSde = solver({
  middle: (sigma, next) => {
    const middle = Math.sqrt(sigma * next);
    return { sigma: middle, to: ancestral(sigma, middle) };
  },
  end: ancestral,
  move: alongClean,
  noise: { middle: true, end: true },
  whole: false,
});

/** The middle of two σ in log σ, reached without noise. */
function meet(sigma: number, next: number) {
  const middle = Math.sqrt(sigma * next);
  return { sigma: middle, to: { up: 0, down: middle } };
}

/** Along the slope at the middle. */
function alongSlope(type: PredictionType, sigma: number, middle: number, to: number): Move {
  const slope = slopeOfSigma(type, middle);
  const length = to - sigma;
  return { kept: 1, middle: { x: length * slope.x, output: length * slope.output } };
}

/** Towards the clean sample that the middle sees. */
function alongClean(type: PredictionType, sigma: number, middle: number, to: number): Move {
  const clean = cleanOfSigma(type, middle);
  const rest = to / sigma;
  return { kept: rest, middle: { x: (1 - rest) * clean.x, output: (1 - rest) * clean.output } };
}

function solver(method: Method): (config: SchedulerConfig, run: Run) => Solution {
  return (config, run) => {
    const type = predictionType(config, ["epsilon", "v_prediction"]);
    const schedule = kSchedule(config, run, method.whole);
    const { timesteps, sigmas, initNoiseSigma, start } = schedule;
    const stepFrom = (i: number): Step[] => {
      const [sigma, next] = [sigmas[i]!, sigmas[i + 1]!];
      const seen = seenAt(type, sigma);
      if (i === timesteps.length - 1) {
        const last = drift(type, sigma, next);
        return [step(timesteps[i]!, last.x, last.output, seen)];
      }
      const middle = method.middle(sigma, next);
      const end = method.end(sigma, next);
      const first = drift(type, sigma, middle.to.down);
      const second = method.move(type, sigma, middle.sigma, end.down);
      return [
        step(timesteps[i]!, first.x, first.output, {
          ...{ ...seen, keep: true, noise: middle.to.up, draws: method.noise.middle },
        }),
        step(schedule.timestepOf(middle.sigma), second.middle.x, second.middle.output, {
          ...{ ...seenAt(type, middle.sigma), kept: second.kept },
          ...{ noise: end.up, draws: method.noise.end },
        }),
      ];
    };
    const rows = timesteps.flatMap((_, i) => (i < run.skipped ? [] : stepFrom(i)));
    return { initNoiseSigma, start, rows };
  };
}
