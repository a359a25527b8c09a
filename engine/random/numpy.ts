import { DiffusionError } from "../errors.ts";
import type { Generator } from "./generator.ts";
import { mt19937 } from "./mt19937.ts";
import { seedWords } from "./seed.ts";

/**
 * `numpy.random.RandomState(seed)`: successive draws give what successive `randn(count)` give, rounded
 * to float32. It is MT19937 and Marsaglia's polar method in float64, whose second value waits for the
 * next draw, in a later call too. Throws BAD_REQUEST for a seed that is no integer or not below 2^32,
 * which NumPy refuses as well.
 */
export function createNumpyGenerator(seed: number | bigint): Generator {
  const [low, high] = seedWords(seed);
  if (high !== 0) {
    throw new DiffusionError("BAD_REQUEST", `seed: ${seed} is not between 0 and 2^32 - 1`, {
      hint: "NumPy's generator takes no other seeds; give one of these, or choose another generator.",
    });
  }
  const normal = polarNormal(mt19937(low));
  return { randn: (count) => Float32Array.from({ length: count }, normal) };
}

/** Marsaglia & Bray 1964: a point of the unit disc gives two values, and the second comes first. */
function polarNormal(next: () => number): () => number {
  const coordinate = () => 2 * uniform(next) - 1;
  let waiting: number | undefined;
  return () => {
    const ready = waiting;
    waiting = undefined;
    if (ready !== undefined) return ready;
    for (;;) {
      const [x, y] = [coordinate(), coordinate()];
      const square = x * x + y * y;
      if (square >= 1 || square === 0) continue;
      const factor = Math.sqrt((-2 * Math.log(square)) / square);
      waiting = factor * x;
      return factor * y;
    }
  };
}

/** 53 bits: 27 of one word, then 26 of the next. */
function uniform(next: () => number): number {
  const high = next() >>> 5;
  return (high * 2 ** 26 + (next() >>> 6)) * 2 ** -53;
}
