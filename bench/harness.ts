/**
 * How a plan is timed: warm-up, then many runs; the middle and the spread of them, and the rates that follow
 * from what its kernels say they cost.
 */
import { availableParallelism } from "node:os";
import type { Device, Plan } from "../engine/index.ts";
import { cost } from "../engine/plan.ts";
import { timed } from "./clock.ts";
import { type Spread, spread } from "./stats.ts";

export interface RunOptions {
  /** Runs that count, where one takes less than `budgetMs / runs`. */
  readonly runs: number;
  /** Runs that are made however long they take. */
  readonly atLeast: number;
  /** After this much time no new run begins. */
  readonly budgetMs: number;
  /** A contestant that does not answer for this long is taken to hang (default: five minutes). */
  readonly patienceMs?: number;
}

export const THOROUGH: RunOptions = { runs: 30, atLeast: 5, budgetMs: 30_000 };
export const QUICK: RunOptions = { runs: 3, atLeast: 2, budgetMs: 2_000 };

export interface Measurement {
  readonly runs: number;
  /** `gpu`: timestamps round each dispatch, added up. `wall`: submit until done. */
  readonly clock: "gpu" | "wall";
  readonly ms: Spread;
  /** What the process used of the CPU: on a software adapter only, where it is what the kernels cost. */
  readonly cpuMs: Spread | null;
  readonly cores: number;
  readonly dispatches: number;
  readonly flops: number;
  /** What must be moved at the least, each dispatch for itself. */
  readonly bytes: number;
  readonly tflops: number;
  readonly gbps: number;
}

/** GPU timestamps, where there is a GPU and it has them. */
export function clockOf({ target }: Device): Measurement["clock"] {
  return target.features.has("timestamp-query") && !target.software ? "gpu" : "wall";
}

/** Times plans that run one after another; their inputs are written already. Throws what running throws. */
export async function measure(plans: readonly Plan[], options: RunOptions): Promise<Measurement> {
  const { device } = plans[0]!;
  const clock = clockOf(device);
  const once = clock === "gpu" ? () => profiled(plans) : () => walled(plans);
  await once();
  const times = await repeat(options, once);
  const costs = plans.flatMap(({ program }) => program.dispatches.map(cost));
  const [flops, bytes] = [sum(costs.map((c) => c.flops)), sum(costs.map((c) => c.bytes))];
  const ms = spread(times.map((time) => time.ms));
  return {
    runs: times.length,
    clock,
    ms,
    cpuMs: device.target.software ? spread(times.map((time) => time.cpuMs)) : null,
    cores: availableParallelism(),
    dispatches: costs.length,
    flops,
    bytes,
    tflops: flops / ms.median / 1e9,
    gbps: bytes / ms.median / 1e6,
  };
}

/** Repeats `work` by the rules of `options`. */
export async function repeat<T>(
  { runs, atLeast, budgetMs }: RunOptions,
  work: () => Promise<T>,
): Promise<T[]> {
  const results: T[] = [];
  const end = performance.now() + budgetMs;
  while (results.length < atLeast || (results.length < runs && performance.now() < end)) {
    results.push(await work());
  }
  return results;
}

interface Time {
  readonly ms: number;
  readonly cpuMs: number;
}

async function walled(plans: readonly Plan[]): Promise<Time> {
  const { wallMs, cpuMs } = await timed(() => {
    for (const plan of plans) plan.run();
    return plans.at(-1)!.done();
  });
  return { ms: wallMs, cpuMs };
}

async function profiled(plans: readonly Plan[]): Promise<Time> {
  const { value, cpuMs } = await timed(async () => {
    const timings = [];
    for (const plan of plans) timings.push(...(await plan.profile()));
    return sum(timings.map(({ ms }) => ms));
  });
  return { ms: value, cpuMs };
}

const sum = (values: readonly number[]): number => values.reduce((a, b) => a + b, 0);
