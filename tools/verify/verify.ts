/** Every recorded case through our side, judged. */
import type { Device } from "../../engine/index.ts";
import { openCheckpoint } from "../../model/checkpoint.ts";
import { openModel } from "../../model/open.node.ts";
import type { OpenOptions } from "../../model/open-options.ts";
import type { Case, Dump } from "./dump.ts";
import { watchMemory } from "./host-memory.ts";
import { judge, type Kind, type Verdict } from "./judge.ts";
import { type Bench, type Outcome, RUNS, weightsOfOnePart } from "./stages.ts";

/** One line of the report. */
export interface Row extends Verdict {
  /** tokens, text, unet, … */
  readonly stage: string;
  readonly name: string;
  readonly kind: Kind;
  readonly dtype: "f16" | "f32";
  readonly shape: readonly number[];
}

/** What a case took, all of its comparisons together. */
export interface Cost {
  readonly name: string;
  readonly dtype: "f16" | "f32";
  /** Loading, compiling and running. */
  readonly totalMs: number;
  readonly cpuMs: number;
  readonly runMs: number | null;
  /** JS heap + external + array buffers, at the most. */
  readonly hostPeakBytes: number;
  /** Bytes on the GPU with everything in place, and how many of them are activations. */
  readonly gpuBytes: number | null;
  readonly activationBytes: number | null;
  /** Of the network's own plan. */
  readonly dispatches: number | null;
}

export interface Found {
  readonly rows: readonly Row[];
  readonly costs: readonly Cost[];
}

export interface VerifyOptions extends Pick<OpenOptions, "prediction"> {
  readonly config?: string | undefined;
  readonly device: Device;
  readonly dtypes: readonly ("f16" | "f32")[];
  /** Hears of each line as it is there. */
  readonly onRow?: ((row: Row) => void) | undefined;
}

/** Does not depend on the dtype: run once, in f32. */
const ON_THE_HOST = new Set(["tokens", "scheduler", "inpaint", "depth-pixels", "noise-level"]);

/**
 * Runs every case of `dump` on the checkpoint at `path`, dtype by dtype. Throws what opening, loading and
 * running throw; a bound that fails is a row that is not `ok`.
 */
export async function verify(path: string, dump: Dump, options: VerifyOptions): Promise<Found> {
  const { device, dtypes, onRow, config, prediction } = options;
  const rows: Row[] = [];
  const costs: Cost[] = [];
  const opened = { ...(config && { config }), ...(prediction && { prediction }) };
  for (const dtype of dtypes) {
    const parts = weightsOfOnePart(device);
    const folder = await openModel(path, opened);
    try {
      const checkpoint = await openCheckpoint(folder);
      const shared = { path, folder, checkpoint, device, dtype, dump, options: opened };
      const bench: Bench = { ...shared, weights: parts.of };
      for (const each of dump.cases) {
        if (dtype !== dtypes[0] && ON_THE_HOST.has(each.stage)) continue;
        const { found, cost } = await measure(bench, each);
        costs.push(cost);
        for (const row of found) {
          rows.push(row);
          onRow?.(row);
        }
      }
    } finally {
      await parts.free();
      await folder.close();
    }
  }
  return { rows, costs };
}

async function measure(bench: Bench, each: Case): Promise<{ found: Row[]; cost: Cost }> {
  const { dtype } = bench;
  const start = performance.now();
  const cpu = process.cpuUsage();
  const { value, memory } = await watchMemory(() => run(bench, each));
  const { user, system } = process.cpuUsage(cpu);
  const found = value.comparisons.map((comparison) => {
    const { name, kind, shape } = comparison;
    return { stage: each.stage, name, kind, dtype, shape, ...judge(comparison, dtype) };
  });
  const cost = {
    ...{ name: each.name, dtype },
    totalMs: performance.now() - start,
    cpuMs: (user + system) / 1000,
    runMs: value.runMs ?? null,
    hostPeakBytes: memory.peakBytes,
    gpuBytes: value.gpuBytes ?? null,
    activationBytes: value.activationBytes ?? null,
    dispatches: value.dispatches ?? null,
  };
  return { found, cost };
}

function run(bench: Bench, each: Case): Promise<Outcome> {
  const stage = RUNS[each.stage];
  if (!stage) throw new Error(`the recorded stages hold "${each.stage}", which is unknown here`);
  return stage(bench, each);
}
