/** How far two results are apart. NaN and another number of elements are infinitely far. */

type Values = ArrayLike<number>;

/** max|Δ| / max|expected|. */
export function maxError(actual: Values, expected: Values): number {
  return relative(actual, expected, (largest, value) => Math.max(largest, Math.abs(value)));
}

/** rms(Δ) / rms(expected). */
export function rmsError(actual: Values, expected: Values): number {
  return Math.sqrt(relative(actual, expected, (sum, value) => sum + value * value));
}

function relative(
  actual: Values,
  expected: Values,
  add: (total: number, value: number) => number,
): number {
  if (actual.length !== expected.length) return Number.POSITIVE_INFINITY;
  let error = 0;
  let size = 0;
  for (let i = 0; i < expected.length; i++) {
    error = add(error, actual[i]! - expected[i]!);
    size = add(size, expected[i]!);
  }
  return Number.isNaN(error) ? Number.POSITIVE_INFINITY : error / size;
}

/** 8-bit samples: the largest difference in levels, and the share of samples that differ by at most 1. */
export function levels(actual: Values, expected: Values): { worst: number; within1: number } {
  if (actual.length !== expected.length) return { worst: Number.POSITIVE_INFINITY, within1: 0 };
  let worst = 0;
  let within = 0;
  for (let i = 0; i < expected.length; i++) {
    const difference = Math.abs(actual[i]! - expected[i]!);
    worst = Math.max(worst, difference);
    if (difference <= 1) within++;
  }
  return { worst, within1: within / expected.length };
}

/** Peak signal-to-noise ratio of 8-bit samples in dB; infinite where they are equal. */
export function psnr(actual: Values, expected: Values): number {
  if (actual.length !== expected.length) return Number.NEGATIVE_INFINITY;
  let sum = 0;
  for (let i = 0; i < expected.length; i++) sum += (actual[i]! - expected[i]!) ** 2;
  return 10 * Math.log10((255 * 255 * expected.length) / sum);
}
