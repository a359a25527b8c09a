/** A time for many measurements: what is fast leaves its share to those that follow. */
import { QUICK, type RunOptions, THOROUGH } from "./harness.ts";

export interface Budget {
  /** How the next one may run when so many, itself included, are still to come. */
  next(left: number): RunOptions;
}

/** The same for each, however many there are. */
export function each(options: RunOptions): Budget {
  return { next: () => options };
}

/** What compiles most, an engine's first run of a whole UNet, takes less. */
const PATIENCE_MS = 120_000;

/** All of them in about so many minutes: few rounds where a run is long, one at the least. */
export function within(minutes: number): Budget {
  const end = performance.now() + 60_000 * minutes;
  return {
    next(left) {
      const share = Math.max(0, end - performance.now()) / left;
      const budgetMs = Math.min(THOROUGH.budgetMs, share);
      return { runs: THOROUGH.runs, atLeast: 1, budgetMs, patienceMs: PATIENCE_MS };
    },
  };
}

export function budgetOf(quick: boolean, minutes: number | undefined): Budget {
  if (quick) return each(QUICK);
  return minutes === undefined ? each(THOROUGH) : within(minutes);
}
