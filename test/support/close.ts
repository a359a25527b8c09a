/** Comparison with a float64 reference, within what the arithmetic of a kernel may lose. */
import assert from "node:assert/strict";
import { type DType, decodeHalf, encodeHalf } from "../../engine/dtype.ts";

export interface Closeness {
  /** How the result is stored. */
  readonly dtype: DType;
  /** Numbers that were summed up for one element of the result. Default 1. */
  readonly terms?: number;
  /** Times that a value was rounded to `dtype` on its way (unfused chains of ops). Default 1. */
  readonly roundings?: number;
  /** Size of what was summed, where the result is smaller by cancellation. Default: the largest |expected|. */
  readonly magnitude?: number;
  readonly label?: string;
}

/** Half the distance of neighbours in [1, 2). All kernels compute in f32. */
const ROUNDOFF = { f32: 2 ** -24, f16: 2 ** -11, i32: 0 } as const;

/** WGSL leaves the direction of rounding free, so a stored value may be off by a whole step. */
const STEP = 2;

/** exp, division and the like may be off by 2.5 to 4 steps in WGSL; a sum starts from there. */
const FUNCTION_STEPS = 8;

/** Distance of the smallest halves: below it a relative bound means nothing. */
const SMALLEST = { f32: 2 ** -126, f16: 2 ** -24, i32: 0 } as const;

/**
 * Throws an AssertionError that names the worst element unless every |actual - expected| is within
 * roundings · step(dtype) · |expected| + (8 + 4 √terms) · 2^-24 · magnitude: the rounding of the stored
 * value, and the random walk of f32 errors over a sum. NaN is never close to anything.
 */
export function close(
  actual: ArrayLike<number>,
  expected: ArrayLike<number>,
  closeness: Closeness,
): void {
  const { label = "result" } = closeness;
  assert.equal(actual.length, expected.length, `${label}: number of elements`);
  const tolerance = toleranceOf(expected, closeness);
  let worst = -1;
  let excess = 1;
  for (let i = 0; i < actual.length; i++) {
    const ratio = errorRatio(actual[i]!, expected[i]!, tolerance(expected[i]!));
    if (ratio <= excess) continue;
    worst = i;
    excess = ratio;
  }
  if (worst < 0) return;
  const allowed = tolerance(expected[worst]!);
  const { dtype, terms = 1, roundings = 1 } = closeness;
  assert.fail(
    `${label}[${worst}] of ${actual.length} is ${actual[worst]}, expected ${expected[worst]}: ` +
      `off by ${Math.abs(actual[worst]! - expected[worst]!)}, allowed ${allowed} ` +
      `(${dtype}, ${terms} terms, ${roundings} roundings)`,
  );
}

/** The error allowed for an element that should be `value`. */
function toleranceOf(expected: ArrayLike<number>, closeness: Closeness): (value: number) => number {
  const { dtype, terms = 1, roundings = 1 } = closeness;
  const magnitude = closeness.magnitude ?? largest(expected);
  const ofSum = (FUNCTION_STEPS + 4 * Math.sqrt(terms)) * ROUNDOFF.f32 * magnitude;
  const ofStore = STEP * roundings * ROUNDOFF[dtype];
  // A value rounded on its way may be larger than the result that is left of it.
  const onTheWay = roundings > 1 ? ofStore * magnitude : 0;
  if (dtype === "i32") return () => 0;
  return (value) => ofStore * Math.abs(value) + onTheWay + ofSum + SMALLEST[dtype];
}

function errorRatio(actual: number, expected: number, allowed: number): number {
  if (actual === expected) return 0;
  const error = Math.abs(actual - expected);
  return Number.isFinite(error) && error <= allowed ? 0 : ratioOf(error, allowed);
}

function ratioOf(error: number, allowed: number): number {
  if (!Number.isFinite(error)) return Number.POSITIVE_INFINITY;
  return allowed === 0 ? Number.MAX_VALUE : error / allowed;
}

function largest(values: ArrayLike<number>): number {
  let max = 0;
  for (let i = 0; i < values.length; i++) {
    if (Number.isFinite(values[i]!)) max = Math.max(max, Math.abs(values[i]!));
  }
  return max;
}

/** The values as a tensor of `dtype` holds them: what a reference must start from. */
export function rounded(values: ArrayLike<number>, dtype: DType): Float32Array {
  return dtype === "f16" ? decodeHalf(encodeHalf(values)) : Float32Array.from(values);
}
