/** Which variant of a kernel serves which problem on one device: what was measured, and what was asked for. */
import type { StoredType } from "../dtype.ts";

/** A product x·w; `batch` above 1: of so many pairs. */
export interface LinearProblem {
  readonly op: "linear";
  readonly dtype: StoredType;
  readonly batch: number;
  readonly M: number;
  readonly N: number;
  readonly K: number;
  readonly gated: boolean;
}

export interface ConvProblem {
  readonly op: "conv2d";
  readonly dtype: StoredType;
  readonly batch: number;
  readonly inHeight: number;
  readonly inWidth: number;
  readonly inChannels: number;
  readonly outHeight: number;
  readonly outWidth: number;
  readonly outChannels: number;
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
}

export interface AttentionProblem {
  readonly op: "attention";
  readonly dtype: StoredType;
  readonly batch: number;
  readonly heads: number;
  readonly queries: number;
  readonly keys: number;
  readonly d: number;
  readonly e: number;
  readonly causal: boolean;
}

export type Problem = LinearProblem | ConvProblem | AttentionProblem;

/** What lowering asks. */
export interface Choices {
  /** The name of a variant, or undefined for the first of `variants`, which should be the fastest. */
  choice(problem: Problem, variants: readonly string[]): string | undefined;
}

/** A problem that came up, with the variants that could serve it. */
export interface Met {
  readonly key: string;
  readonly problem: Problem;
  readonly variants: readonly string[];
  /** How often it came up. */
  readonly count: number;
}

/**
 * The class of a problem: one choice serves all of it. Rows (pixels, queries, the batch among them) count in powers of
 * two; what is summed over and the columns are the model's own sizes, and stay exact.
 */
export function problemKey(p: Problem): string {
  switch (p.op) {
    case "linear": {
      const many = p.batch > 1 ? ` of ${nextPower(p.batch)}` : "";
      return `linear ${p.dtype} ${nextPower(p.M)}x${p.N}x${p.K}${p.gated ? " gated" : ""}${many}`;
    }
    case "conv2d": {
      const rows = nextPower(p.batch * p.outHeight * p.outWidth);
      const taps = `${p.kernel.join("x")}/${p.stride.join("x")}`;
      return `conv2d ${p.dtype} ${taps} ${rows}x${p.outChannels}x${p.inChannels}`;
    }
    case "attention": {
      const rows = `${nextPower(p.queries)}x${nextPower(p.keys)}`;
      return `attention ${p.dtype} ${rows}x${p.d}x${p.e} ${nextPower(p.batch * p.heads)} heads`;
    }
  }
}

/** Multiply-adds. */
function flops(p: Problem): number {
  switch (p.op) {
    case "linear":
      return p.batch * p.M * p.N * p.K;
    case "conv2d": {
      const sums = p.batch * p.outHeight * p.outWidth * p.outChannels;
      return sums * p.inChannels * p.kernel[0] * p.kernel[1];
    }
    case "attention":
      return p.batch * p.heads * p.queries * p.keys * (p.d + p.e);
  }
}

function nextPower(n: number): number {
  return 2 ** Math.ceil(Math.log2(Math.max(1, n)));
}

/**
 * A device's choices. They are those of its record when it was opened and stay so: what is measured later is for
 * the record, and for the next time, so that one device always runs the same kernels.
 */
export class Tuning implements Choices {
  readonly #choices = new Map<string, string>();
  readonly #learned = new Map<string, string>();
  readonly #met = new Map<string, Met>();

  /** Takes over a record. Call it before anything is lowered. */
  use(choices: Readonly<Record<string, string>>): void {
    for (const [key, name] of Object.entries(choices)) this.#choices.set(key, name);
  }

  choice(problem: Problem, variants: readonly string[]): string | undefined {
    const key = problemKey(problem);
    const met = this.#met.get(key) ?? { key, problem, variants, count: 0 };
    if (variants.length > 1) this.#met.set(key, { ...met, count: met.count + 1 });
    return this.#choices.get(key);
  }

  /** Notes what was measured. */
  learn(key: string, name: string): void {
    this.#learned.set(key, name);
  }

  /** What came up and has no measured choice: where most of the time goes comes first. */
  get open(): Met[] {
    const open = [...this.#met.values()].filter(({ key }) => !this.known.has(key));
    const cost = ({ problem, count }: Met) => count * flops(problem);
    return open.sort((a, b) => cost(b) - cost(a));
  }

  /** Everything that was measured, before or now. */
  get known(): ReadonlyMap<string, string> {
    return new Map([...this.#choices, ...this.#learned]);
  }
}
