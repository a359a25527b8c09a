import type { Linear } from "./prediction.ts";

/** The number of stored planes that any solver here reads back. */
export const HISTORY_SLOTS = 4;

export type History = readonly [number, number, number, number];

/**
 * One UNet evaluation and the update after it, as plain coefficients. In this order, elementwise:
 *
 *     m     = guided UNet(inputScale·x, timestep)
 *     if keep: kept = x
 *     next  = x̂·x + k·kept + o·m + Σ hᵢ·slotᵢ + n·noise       (the slots as they were)
 *     if store: slot[store.slot] = store.x·x + store.output·m + (store.add ? slot[store.slot] : 0)
 *     x     = next
 *
 * A coefficient 0 means that the operand is not read: before their first write `kept` and the
 * slots may hold anything. The kind of prediction is folded in: m is the raw output.
 */
export type Step = {
  /** What the UNet's time embedding takes; those of solvers in σ may be fractional. */
  readonly timestep: number;
  readonly inputScale: number;
  readonly keep: boolean;
  readonly x: number;
  readonly kept: number;
  readonly output: number;
  readonly history: History;
  readonly noise: number;
  /** Whether diffusers draws a noise here: some solvers do so where they multiply it by 0. */
  readonly draws: boolean;
  readonly store?: Store;
  /** x0 as the solver sees it: x·(the sample) + output·m. */
  readonly clean: Clean;
};

/**
 * `change`: by how much m has to change for the solver to go on with an x0 that is 1 larger. Default 1/output:
 * that m says this x0 itself. DDIM alone goes on with the old noise beside it.
 */
export type Clean = Linear & { readonly change?: number };

/** What goes into a slot: the raw output (x 0, output 1), or what a solver makes of x and it. */
export type Store = {
  readonly slot: number;
  readonly x: number;
  readonly output: number;
  readonly add: boolean;
};

/** How a run that starts from a picture begins: image·(its latents) + noise·(the first noise). */
export type Start = { readonly image: number; readonly noise: number };

/** What a solver leaves to createSampler: the rows, and what they start from. */
export type Solution = {
  /** The scale of the first noise where a run starts from nothing but noise. */
  readonly initNoiseSigma: number;
  readonly start: Start;
  readonly rows: readonly Step[];
};

const NO_HISTORY: History = [0, 0, 0, 0];

/** A step before it is known which x0 its evaluation says. */
export type Update = Omit<Step, "clean">;

/** An update that reads and writes nothing but x and m, unless `more` says so. */
export function update(
  timestep: number,
  x: number,
  output: number,
  more: Partial<Update> = {},
): Update {
  const rest = { inputScale: 1, keep: false, kept: 0, history: NO_HISTORY, noise: 0, draws: false };
  return { timestep, x, output, ...rest, ...more };
}

/** The same with x0. */
export function step(
  timestep: number,
  x: number,
  output: number,
  { clean, ...more }: Partial<Step> & Pick<Step, "clean">,
): Step {
  return { ...update(timestep, x, output, more), clean };
}

/** The model's output as it came, into a slot. */
export function rawOutput(slot: number, add = false): Store {
  return { slot, x: 0, output: 1, add };
}

/** Coefficients by the number of what is read: number n lives in slot n mod 4. */
export function inSlots(entries: readonly (readonly [number, number])[]): History {
  const slots: [number, number, number, number] = [0, 0, 0, 0];
  for (const [index, weight] of entries) slots[index % HISTORY_SLOTS] = weight;
  return slots;
}

/**
 * A row of a multistep solver, its number `n` from the first that runs: next = factor·x + Σ weightᵢ·dᵢ,
 * where d₀ is made of this x and m and stored, and dᵢ is that of i rows ago.
 */
export function multistepRow(
  timestep: number,
  n: number,
  made: { readonly x: number; readonly output: number },
  factor: number,
  weights: readonly number[],
  more: Partial<Step> & Pick<Step, "clean">,
): Step {
  const [own = 0, ...older] = weights;
  return step(timestep, factor + own * made.x, own * made.output, {
    history: inSlots(older.map((weight, i) => [n - 1 - i, weight] as const)),
    store: { slot: n % HISTORY_SLOTS, ...made, add: false },
    ...more,
  });
}
