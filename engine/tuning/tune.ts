/**
 * Measures variants of kernels on a device, for the problems that its plans have come across, and records the
 * fastest. Nothing that is compiled already changes: the record serves the devices that are opened after it.
 */
import { compile } from "../compile.ts";
import type { Device } from "../device.ts";
import { DiffusionError } from "../errors.ts";
import { type Choices, type Met, problemKey } from "./choices.ts";
import { problemGraph } from "./problem-graph.ts";
import { type TuningStore, writeRecord } from "./record.ts";

export interface TuneOptions {
  /** After so many milliseconds no new problem is begun (default: 10,000). */
  readonly budgetMs?: number;
  /** Where the result goes; default: where the device's record came from. */
  readonly store?: TuningStore | undefined;
  readonly signal?: AbortSignal | undefined;
  readonly onMeasured?: (measured: Measured) => void;
}

/** One problem's variants: the estimate's favourite first. */
export interface Measured {
  readonly key: string;
  readonly times: readonly { readonly variant: string; readonly ms: number }[];
  readonly chosen: string;
}

export interface Tuned {
  readonly measured: readonly Measured[];
  /** Problems that the time did not suffice for. */
  readonly left: number;
}

/** As many as are likely to hold the fastest: each costs a compilation. */
const VARIANTS = 6;
const RUNS = 5;

/** So much faster than the estimate's favourite must another be: below it lies noise. */
const PAYS = 0.97;

const BUDGET_MS = 10_000;

/**
 * Throws FEATURE_MISSING without `timestamp-query`, `signal.reason` when aborted (what was measured by then is
 * recorded), DEVICE_LOST, and what the store throws.
 */
export async function tune(device: Device, options: TuneOptions = {}): Promise<Tuned> {
  if (!device.target.features.has("timestamp-query")) {
    throw new DiffusionError(
      "FEATURE_MISSING",
      "Tuning needs timestamp-query, which the adapter lacks.",
    );
  }
  const { budgetMs = BUDGET_MS, signal, onMeasured, store = device.tuningStore } = options;
  const end = performance.now() + budgetMs;
  const measured: Measured[] = [];
  try {
    for (const met of device.tuning.open) {
      signal?.throwIfAborted();
      if (performance.now() >= end) break;
      const found = await measureVariants(device, met, signal);
      device.tuning.learn(found.key, found.chosen);
      measured.push(found);
      onMeasured?.(found);
    }
  } finally {
    if (measured.length > 0) await store?.write(device.identity, recordOf(device));
  }
  return { measured, left: device.tuning.open.length };
}

function recordOf({ identity, tuning }: Device): string {
  return writeRecord(identity, { choices: Object.fromEntries(tuning.known) });
}

async function measureVariants(
  device: Device,
  { key, problem, variants }: Met,
  signal: AbortSignal | undefined,
): Promise<Measured> {
  const times: { variant: string; ms: number }[] = [];
  for (const variant of variants.slice(0, VARIANTS)) {
    signal?.throwIfAborted();
    const tuning: Choices = {
      choice: (other) => (problemKey(other) === key ? variant : undefined),
    };
    const plan = await compile(device, { y: problemGraph(problem) }, { label: "tuning", tuning });
    try {
      times.push({ variant, ms: await time(() => plan.profile()) });
    } finally {
      await plan.destroy();
    }
  }
  const best = times.reduce((a, b) => (b.ms < a.ms ? b : a));
  const chosen = best.ms < times[0]!.ms * PAYS ? best.variant : times[0]!.variant;
  return { key, times, chosen };
}

/** The median of some runs after one that does not count. */
async function time(profile: () => Promise<readonly { readonly ms: number }[]>): Promise<number> {
  const sums: number[] = [];
  for (let run = 0; run <= RUNS; run++) {
    const timings = await profile();
    if (run > 0) sums.push(timings.reduce((sum, { ms }) => sum + ms, 0));
  }
  return sums.sort((a, b) => a - b)[RUNS >> 1]!;
}
