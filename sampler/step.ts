/** The number of stored model outputs that any solver here reads back. */
export const HISTORY_SLOTS = 4;

export type History = readonly [number, number, number, number];

/**
 * One UNet evaluation and the update after it, as plain coefficients. In this order, elementwise:
 *
 *     m     = guided UNet(inputScale·x, timestep)
 *     if keep: kept = x
 *     next  = x̂·x + k·kept + o·m + Σ hᵢ·slotᵢ + n·noise       (the slots as they were)
 *     if store: slot[store.slot] = m + (store.add ? slot[store.slot] : 0)
 *     x     = next
 *
 * A coefficient 0 means that the operand is not read: before their first write `kept` and the
 * slots may hold anything. The kind of prediction is folded in: m is the raw output.
 */
export type Step = {
  /** What the UNet's time embedding takes; Euler's may be fractional. */
  readonly timestep: number;
  readonly inputScale: number;
  readonly keep: boolean;
  readonly x: number;
  readonly kept: number;
  readonly output: number;
  readonly history: History;
  readonly noise: number;
  readonly store?: { readonly slot: number; readonly add: boolean };
};

/** What a solver leaves to createSampler: the rows, and the scale of the first noise. */
export type Solution = { readonly initNoiseSigma: number; readonly rows: readonly Step[] };

const NO_HISTORY: History = [0, 0, 0, 0];

/** A step that reads and writes nothing but x and m, unless `more` says so. */
export function step(timestep: number, x: number, output: number, more: Partial<Step> = {}): Step {
  const rest = { inputScale: 1, keep: false, kept: 0, history: NO_HISTORY, noise: 0 };
  return { timestep, x, output, ...rest, ...more };
}
