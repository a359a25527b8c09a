/** The denoising loop on the host: a number written and a submit for each step. */
import { DiffusionError } from "../engine/errors.ts";
import type { Plan } from "../engine/index.ts";
import type { Sampler, Step } from "../sampler/index.ts";
import type { NoiseSource } from "./denoise.ts";
import type { Plans } from "./painter.ts";
import type { Previews } from "./preview.ts";
import type { GenerateRequest, StepEvent } from "./request.ts";
import type { TileGrid } from "./tile-grid.ts";

/** Steps that may be under way on the GPU before the host waits for the oldest. */
const IN_FLIGHT = 2;

export interface LoopOptions extends Pick<GenerateRequest, "signal" | "onStep"> {
  /** Where the steps' noise comes from; a sampler that draws any needs it. */
  readonly noise?: NoiseSource | undefined;
  /** Told of each finished step, after `onStep`. */
  readonly previews?: Pick<Previews, "show"> | undefined;
  /** Called before each row is submitted, with its number. */
  readonly before?: ((row: number) => void) | undefined;
}

/** What is submitted at one time, and what is told when it is done. */
interface Work {
  submit(): void;
  event(elapsedMs: number): StepEvent;
}

/** All rows of a run: in tiles where its plans have one. */
export function runLoop(
  { tile, step }: Plans,
  grid: TileGrid | undefined,
  sampler: Sampler,
  options: LoopOptions,
): Promise<void> {
  if (!tile || !grid) return runSteps(step, sampler, options);
  return runTiledSteps({ tile, step }, grid, sampler, options);
}

/**
 * Runs the step plan once for each row, and writes the noise of those that draw one before them. Throws
 * `signal.reason` when aborted, what `onStep` throws, DEVICE_LOST, GPU_VALIDATION; steps that were submitted before still run.
 */
export function runSteps(plan: Plan, { rows }: Sampler, options: LoopOptions): Promise<void> {
  const work = rows.map((row, i) => ({
    submit() {
      options.before?.(i);
      runStep(plan, row, i, options);
    },
    event: (elapsedMs: number) => eventOf(rows, i, elapsedMs, 1, 1),
  }));
  return runInTurn(plan, work, options);
}

/** The same where the UNet runs in tiles: all of them, then the step. Progress is told after each tile. */
export function runTiledSteps(
  { tile, step }: { readonly tile: Plan; readonly step: Plan },
  { places }: TileGrid,
  { rows }: Sampler,
  options: LoopOptions,
): Promise<void> {
  const last = places.length - 1;
  const work = rows.flatMap((row, i) =>
    places.map(({ top, left, ...shares }, number) => ({
      submit() {
        if (number === 0) {
          options.before?.(i);
          tile.write("step", [i]);
        }
        tile.write("place", [top, left, number]);
        tile.write("rows", shares.rows);
        tile.write("columns", shares.columns);
        tile.run();
        if (number === last) runStep(step, row, i, options);
      },
      event: (elapsedMs: number) => ({
        ...eventOf(rows, i, elapsedMs, number + 1, places.length),
        ...{ tile: number + 1, tiles: places.length },
      }),
    })),
  );
  return runInTurn(step, work, options);
}

function runStep(plan: Plan, row: Step, number: number, { noise }: LoopOptions): void {
  if (row.draws) plan.write("noise", drawn(noise));
  plan.write("step", [number]);
  plan.run();
}

async function runInTurn(
  plan: Plan,
  work: readonly Work[],
  { signal, onStep, previews }: LoopOptions,
): Promise<void> {
  const started = performance.now();
  const pending: Promise<void>[] = [];
  let done = 0;
  const finishOldest = async () => {
    await pending.shift();
    const event = work[done++]!.event(performance.now() - started);
    onStep?.(event);
    // Where the UNet runs in tiles, a step is done with the last of them.
    if (event.tile === event.tiles) previews?.show(event.step);
    signal?.throwIfAborted();
  };
  signal?.throwIfAborted();
  for (const { submit } of work) {
    submit();
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

/** After `part` of `parts` of row `number`. */
function eventOf(
  rows: Sampler["rows"],
  number: number,
  elapsedMs: number,
  part: number,
  parts: number,
): StepEvent {
  const done = number + part / parts;
  const etaMs = (elapsedMs / done) * (rows.length - done);
  const { timestep } = rows[number]!;
  return { step: number + 1, steps: rows.length, timestep, elapsedMs, etaMs };
}
