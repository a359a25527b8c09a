import type { Sampler, Step } from "../../sampler/index.ts";

/** The model of a run: its output for each element of inputScale·x. */
export type Model = (x: number, timestep: number) => number;

/** The noise of a run: the values of draw number 1, 2, … */
export type Noise = (draw: number) => readonly number[];

/** Applies a sampler's rows in float64, as sampler/step.ts states them; returns x after each row. */
export function runSampler(
  sampler: Sampler,
  start: readonly number[],
  model: Model,
  noiseOf: Noise = () => [],
): number[][] {
  // Whatever a row must not read is poisoned: a stray operand shows as NaN.
  const poison = () => start.map(() => Number.NaN);
  const state = { x: [...start], kept: poison() };
  let draws = 0;
  const slots = Array.from({ length: sampler.slots }, poison);
  return sampler.rows.map((row) => {
    const { timestep, inputScale } = row;
    const output = state.x.map((value) => model(inputScale * value, timestep));
    const noise = row.draws ? noiseOf(++draws) : poison();
    if (row.keep) state.kept = state.x;
    const before = state.x;
    state.x = state.x.map((value, i) =>
      update(
        row,
        value,
        state.kept[i]!,
        output[i]!,
        noise[i]!,
        slots.map((slot) => slot[i]!),
      ),
    );
    if (row.store) {
      const { slot, add } = row.store;
      slots[slot] = output.map((value, i) => {
        const made = term(row.store!.x, before[i]!) + term(row.store!.output, value);
        return made + (add ? slots[slot]![i]! : 0);
      });
    }
    return state.x;
  });
}

function update(
  row: Step,
  x: number,
  kept: number,
  output: number,
  noise: number,
  slots: readonly number[],
): number {
  const past = row.history.reduce(
    (sum, weight, i) => sum + term(weight, slots[i] ?? Number.NaN),
    0,
  );
  const now = term(row.x, x) + term(row.kept, kept) + term(row.output, output);
  return now + past + term(row.noise, noise);
}

function term(coefficient: number, value: number): number {
  return coefficient === 0 ? 0 : coefficient * value;
}
