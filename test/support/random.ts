/** A seeded source of numbers and shapes: the same seed gives the same test anywhere. */

export interface Random {
  /** In [0, 1). */
  uniform(): number;
  /** A whole number from..to, both included. */
  int(from: number, to: number): number;
  pick<T>(list: readonly T[]): T;
  normal(): number;
  normals(count: number, deviation?: number, mean?: number): Float32Array;
  ints(count: number, from: number, to: number): Int32Array;
  /** A size that kernels find awkward (1, primes, around multiples of 4) up to `most`. */
  size(most: number): number;
  shape(rank: number, most: number): number[];
}

export function random(seed: number): Random {
  const uniform = mulberry32(seed);
  const int = (from: number, to: number) => from + Math.floor(uniform() * (to - from + 1));
  const pick = <T>(list: readonly T[]) => list[int(0, list.length - 1)]!;
  // Box and Muller 1958; 1 - u keeps the logarithm finite.
  const normal = () => Math.sqrt(-2 * Math.log(1 - uniform())) * Math.cos(2 * Math.PI * uniform());
  const size = (most: number) => pick(AWKWARD.filter((n) => n <= most));
  return {
    uniform,
    int,
    pick,
    normal,
    size,
    normals: (count, deviation = 1, mean = 0) =>
      Float32Array.from({ length: count }, () => mean + deviation * normal()),
    ints: (count, from, to) => Int32Array.from({ length: count }, () => int(from, to)),
    shape: (rank, most) => Array.from({ length: rank }, () => size(most)),
  };
}

const AWKWARD = [1, 2, 3, 4, 5, 7, 8, 9, 12, 13, 15, 16, 17, 31, 32, 33, 61, 63, 64, 65, 127, 128];

/** Mulberry32 (Ettinger 2017): 32 bits of state, passes gjrand. */
function mulberry32(seed: number): () => number {
  let state = seed >>> 0;
  return () => {
    state = (state + 0x6d2b79f5) >>> 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}
