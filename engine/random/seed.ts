import { DiffusionError } from "../errors.ts";

/**
 * The low and the high 32 bits of a 64-bit seed; a negative seed wraps round 2^64, as in PyTorch.
 * Throws BAD_REQUEST for a seed that is no integer, or a number beyond 2^53 (pass a bigint then).
 */
export function seedWords(seed: number | bigint): readonly [low: number, high: number] {
  if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
    throw new DiffusionError(
      "BAD_REQUEST",
      `seed: ${seed} is not an integer between -2^53 and 2^53`,
      { hint: "give a whole number, or a bigint for a larger one" },
    );
  }
  const bits = BigInt.asUintN(64, BigInt(seed));
  return [Number(bits & 0xffffffffn), Number(bits >> 32n)];
}
