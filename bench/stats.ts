/** The middle of several runs, and how far they lie apart. */

export interface Spread {
  readonly median: number;
  /** A tenth of the runs are below the first and above the second. */
  readonly p10: number;
  readonly p90: number;
}

export function spread(values: readonly number[]): Spread {
  const sorted = [...values].sort((a, b) => a - b);
  return { median: quantile(sorted, 0.5), p10: quantile(sorted, 0.1), p90: quantile(sorted, 0.9) };
}

/** Linear between the two nearest, as NumPy's percentile; NaN of nothing. */
function quantile(sorted: readonly number[], ratio: number): number {
  const at = ratio * (sorted.length - 1);
  const [low, high] = [sorted[Math.floor(at)], sorted[Math.ceil(at)]];
  return low === undefined || high === undefined ? Number.NaN : low + (at % 1) * (high - low);
}

/** What a measurement says of time; null where nothing was measured. */
export interface Stamp {
  readonly ms: Spread | null;
  readonly cpuMs: Spread | null;
}
