/** The denoising loop on the host: a number written and a submit for each step. */
import { DiffusionError } from "../engine/errors.ts";
import type { Plan } from "../engine/index.ts";
import type { Sampler } from "../sampler/index.ts";
import type { NoiseSource } from "./denoise.ts";
import type { GenerateRequest, StepEvent } from "./request.ts";

/** Steps that may be under way on the GPU before the host waits for the oldest. */
const IN_FLIGHT = 2;

export interface LoopOptions extends Pick<GenerateRequest, "signal" | "onStep"> {
  /** Where the steps' noise comes from; a sampler that draws any needs it. */
  readonly noise?: NoiseSource | undefined;
  /** Called before each row is submitted, with its number. */
  readonly before?: ((row: number) => void) | undefined;
}

/**
 * Runs the step plan once for each row, and writes the noise of those that draw one before them. Throws
 * `signal.reason` when aborted, what `onStep` throws, DEVICE_LOST, GPU_VALIDATION; steps that were submitted before still run.
 */
export async function runSteps(
  plan: Plan,
  { rows }: Sampler,
  { signal, onStep, noise, before }: LoopOptions,
): Promise<void> {
  const started = performance.now();
  const pending: Promise<void>[] = [];
  let done = 0;
  const finishOldest = async () => {
    await pending.shift();
    done++;
    onStep?.(eventOf(done, rows, performance.now() - started));
    signal?.throwIfAborted();
  };
  signal?.throwIfAborted();
  for (const [i, row] of rows.entries()) {
    before?.(i);
    if (row.draws) plan.write("noise", drawn(noise));
    plan.write("step", [i]);
    plan.run();
    pending.push(quiet(plan.done()));
    if (pending.length >= IN_FLIGHT) await finishOldest();
  }
  while (pending.length > 0) await finishOldest();
}

function drawn(noise: NoiseSource | undefined): Float32Array {
  if (noise) return noise();
  throw new DiffusionError("INTERNAL", "the sampler draws noise, and the loop has no source of it");
}

/** The same promise; that nobody awaits it after an earlier step has failed is no fault. */
function quiet(promise: Promise<void>): Promise<void> {
  promise.catch(() => undefined);
  return promise;
}

function eventOf(step: number, rows: Sampler["rows"], elapsedMs: number): StepEvent {
  const steps = rows.length;
  const etaMs = (elapsedMs / step) * (steps - step);
  return { step, steps, timestep: rows[step - 1]!.timestep, elapsedMs, etaMs };
}
