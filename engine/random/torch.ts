import { logf, sincosf } from "./cephes.ts";
import type { Generator } from "./generator.ts";
import { mt19937 } from "./mt19937.ts";
import { seedWords } from "./seed.ts";

/**
 * Noise exactly as PyTorch draws it on a CPU: MT19937 seeded with the low 32 bits of the seed, then
 * Box-Muller. Draws of 16 values and more go through PyTorch's vectorised float32 path, whose
 * logarithm, sine and cosine are Cephes' polynomials in fused multiply-adds: those are repeated
 * operation by operation, because a float64 evaluation equals PyTorch's bits in 62 % of the
 * values only.
 */
export type TorchGenerator = Generator;

/**
 * `torch.randn(shape, generator=torch.Generator("cpu").manual_seed(seed))`, row-major.
 * Throws BAD_REQUEST where createTorchGenerator does.
 */
export function torchRandn(seed: number | bigint, shape: readonly number[]): Float32Array {
  return createTorchGenerator(seed).randn(shape.reduce((count, side) => count * side, 1));
}

/**
 * `torch.Generator("cpu").manual_seed(seed)`: successive draws give what successive torch.randn give.
 * Throws BAD_REQUEST for a seed that is no integer, or a number beyond 2^53 (pass a bigint then).
 */
export function createTorchGenerator(seed: number | bigint): TorchGenerator {
  const next = mt19937(seedWords(seed)[0]);
  const normal = doubleNormal(next);
  return {
    randn: (count) =>
      count < GROUP ? Float32Array.from({ length: count }, normal) : fill(next, count),
  };
}

/** PyTorch's path for fewer than 16 values: float64 Box-Muller, whose sine half waits for a later call. */
function doubleNormal(next: () => number): () => number {
  // 53 bits: the high word is drawn first and gives its low 21 bits.
  const uniform = () => {
    const high = next() & 0x1fffff;
    return (high * 2 ** 32 + next()) * 2 ** -53;
  };
  let waiting: number | undefined;
  return () => {
    const ready = waiting;
    waiting = undefined;
    if (ready !== undefined) return ready;
    const angle = 2 * Math.PI * uniform();
    const radius = Math.sqrt(-2 * Math.log1p(-uniform()));
    waiting = radius * Math.sin(angle);
    return radius * Math.cos(angle);
  };
}

const GROUP = 16;

/** PyTorch's path for 16 values and more: all uniforms first, then groups of 16 turned in place. */
function fill(next: () => number, count: number): Float32Array {
  const values = new Float32Array(count);
  const drawUniforms = (from: number) => {
    for (let i = from; i < count; i++) values[i] = (next() & 0xffffff) * 2 ** -24;
  };
  drawUniforms(0);
  for (let at = 0; at + GROUP <= count; at += GROUP) boxMuller(values, at);
  if (count % GROUP !== 0) {
    // The tail is not a group of its own: the last 16 values are drawn anew, over finished ones.
    drawUniforms(count - GROUP);
    boxMuller(values, count - GROUP);
  }
  return values;
}

const { fround } = Math;
const TWO_PI = fround(2 * Math.PI);

/** Value j of a group takes its radius from uniform j and its angle from uniform j + 8. */
function boxMuller(values: Float32Array, at: number): void {
  for (let j = at; j < at + GROUP / 2; j++) {
    const radius = fround(Math.sqrt(fround(-2 * logf(fround(1 - values[j]!)))));
    const [sine, cosine] = sincosf(fround(TWO_PI * values[j + GROUP / 2]!));
    values[j] = radius * cosine;
    values[j + GROUP / 2] = radius * sine;
  }
}
