/** How far a stage may be from diffusers, and how far it is. */
import type { DType } from "../../engine/index.ts";
import { levels, maxError, psnr, rmsError } from "./compare.ts";

/** f32: max|Δ| / max|reference|. Sums of another order differ by some 1e-6. */
export const F32_BOUND = 1e-4;
/** f16: dB between the reference and the difference. */
export const F16_BOUND = 40;
/** f32 pictures: the share of samples within one level of 255, and the worst. */
export const PICTURE_BOUND = { within1: 0.99, worst: 3 } as const;

/**
 * `exact`: numbers that are chosen, not computed. `host`: computed on the CPU in f32 whatever the dtype.
 * `network`: by the GPU in the dtype. `picture`: 8-bit samples.
 */
export type Kind = "exact" | "host" | "network" | "picture";

type Values = ArrayLike<number>;

/** Ours beside theirs. */
export interface Comparison {
  readonly name: string;
  readonly kind: Kind;
  readonly shape: readonly number[];
  readonly actual: Values;
  readonly expected: Values;
}

/** What was found. Infinite errors (NaN, another number of values) are `null` in JSON. */
export interface Verdict {
  readonly maxError: number;
  readonly rmsError: number;
  /** Pictures only, dB. */
  readonly psnr?: number;
  readonly within1?: number;
  readonly worst?: number;
  readonly wanted: string;
  readonly ok: boolean;
}

export function judge({ kind, actual, expected }: Comparison, dtype: DType): Verdict {
  const errors = { maxError: maxError(actual, expected), rmsError: rmsError(actual, expected) };
  if (kind === "picture") return { ...errors, ...judgePicture(actual, expected, dtype) };
  if (kind === "exact") {
    return { ...errors, wanted: "equal", ok: errors.maxError === 0 || bothZero(actual, expected) };
  }
  if (kind === "network" && dtype === "f16") {
    return { ...errors, wanted: "40 dB", ok: decibels(errors.rmsError) >= F16_BOUND };
  }
  return { ...errors, wanted: "1e-4", ok: errors.maxError <= F32_BOUND };
}

function judgePicture(actual: Values, expected: Values, dtype: DType) {
  const found = { ...levels(actual, expected), psnr: psnr(actual, expected) };
  if (dtype === "f16") return { ...found, wanted: "40 dB", ok: found.psnr >= F16_BOUND };
  const { within1, worst } = PICTURE_BOUND;
  const ok = found.within1 >= within1 && found.worst <= worst;
  return { ...found, wanted: `${100 * within1} % within 1, none beyond ${worst}`, ok };
}

/** How far the difference lies below the reference, from their rms. */
export function decibels(rms: number): number {
  return -20 * Math.log10(rms);
}

/** 0 / 0: a reference of zeros that is met. */
function bothZero(actual: Values, expected: Values): boolean {
  return actual.length === expected.length && Array.from(actual).every((value) => value === 0)
    ? Array.from(expected).every((value) => value === 0)
    : false;
}
