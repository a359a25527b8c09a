import { DiffusionError } from "./errors.ts";

/**
 * Noise exactly as PyTorch draws it on a CPU: MT19937 seeded with the low 32 bits of the seed, then
 * Box-Muller. Draws of 16 values and more go through PyTorch's vectorised float32 path, whose
 * logarithm, sine and cosine are Cephes' polynomials in fused multiply-adds: those are repeated
 * here operation by operation, because a float64 evaluation equals PyTorch's bits in 62 % of the
 * values only.
 */
export type TorchGenerator = {
  /** The next `count` values of N(0, 1): `torch.randn(count, generator=g)`, of this state. */
  randn(count: number): Float32Array;
};

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
  const next = mt19937(seedWord(seed));
  const normal = doubleNormal(next);
  return {
    randn: (count) =>
      count < GROUP ? Float32Array.from({ length: count }, normal) : fill(next, count),
  };
}

/** PyTorch hands MT19937 the low 32 bits of the 64-bit seed; a negative seed wraps round 2^64. */
function seedWord(seed: number | bigint): number {
  if (typeof seed === "number" && !Number.isSafeInteger(seed)) {
    throw new DiffusionError(
      "BAD_REQUEST",
      `seed: ${seed} is not an integer between -2^53 and 2^53`,
      {
        hint: "give a whole number, or a bigint for a larger one",
      },
    );
  }
  return Number(BigInt.asUintN(32, BigInt(seed)));
}

const STATE_WORDS = 624;
const STATE_SHIFT = 397;

/** Matsumoto & Nishimura 1998, "Mersenne Twister": the next 32-bit word at each call. */
function mt19937(seed: number): () => number {
  const state = new Uint32Array(STATE_WORDS);
  state[0] = seed;
  for (let i = 1; i < STATE_WORDS; i++) {
    const before = state[i - 1]!;
    state[i] = Math.imul(1812433253, before ^ (before >>> 30)) + i;
  }
  let index = STATE_WORDS;
  return () => {
    if (index === STATE_WORDS) {
      twist(state);
      index = 0;
    }
    return temper(state[index++]!);
  };
}

function twist(state: Uint32Array): void {
  for (let i = 0; i < STATE_WORDS; i++) {
    const bits = (state[i]! & 0x80000000) | (state[(i + 1) % STATE_WORDS]! & 0x7fffffff);
    const mixed = (bits >>> 1) ^ (bits & 1 ? 0x9908b0df : 0);
    state[i] = state[(i + STATE_SHIFT) % STATE_WORDS]! ^ mixed;
  }
}

function temper(word: number): number {
  let bits = word ^ (word >>> 11);
  bits ^= (bits << 7) & 0x9d2c5680;
  bits ^= (bits << 15) & 0xefc60000;
  return (bits ^ (bits >>> 18)) >>> 0;
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

/** a·b + c in one float32 rounding: the product of two floats is exact in a double. */
const fma = (a: number, b: number, c: number): number => fround(a * b + c);

/** p(x) = (…(p0·x + p1)·x + …), each step one fused multiply-add. */
function horner(coefficients: Float32Array, x: number): number {
  let sum = coefficients[0]!;
  for (let i = 1; i < coefficients.length; i++) sum = fma(sum, x, coefficients[i]!);
  return sum;
}

// Cephes, single precision: logf.c and sinf.c (Moshier).
const LOG = Float32Array.of(
  7.0376836292e-2,
  -1.151461031e-1,
  1.167699874e-1,
  -1.2420140846e-1,
  1.4249322787e-1,
  -1.6668057665e-1,
  2.0000714765e-1,
  -2.4999993993e-1,
  3.3333331174e-1,
);
const SIN = Float32Array.of(-1.9515295891e-4, 8.3321608736e-3, -1.6666654611e-1);
const COS = Float32Array.of(2.443315711809948e-5, -1.388731625493765e-3, 4.166664568298827e-2);
const SQRT_HALF = fround(Math.SQRT1_2);
const FOUR_OVER_PI = fround(4 / Math.PI);
/** ln 2 and π/4 in parts short enough that their products with small integers are exact. */
const [LN2_HIGH, LN2_LOW] = [0.693359375, fround(-2.1219444e-4)] as const;
const PI_4 = [0.78515625, fround(2.4187564849853516e-4), fround(3.774894977445941e-8)] as const;

const float = new Float32Array(1);
const bits = new Uint32Array(float.buffer);

/** ln x of a normal float32 x > 0. */
function logf(x: number): number {
  float[0] = x;
  let exponent = (bits[0]! >>> 23) - 126;
  bits[0] = (bits[0]! & 0x007fffff) | 0x3f000000;
  let mantissa = float[0]!;
  if (mantissa < SQRT_HALF) {
    exponent -= 1;
    mantissa = fround(fround(mantissa - 1) + mantissa);
  } else {
    mantissa = fround(mantissa - 1);
  }
  const square = fround(mantissa * mantissa);
  const tail = fround(horner(LOG, mantissa) * mantissa);
  const sum = fma(-0.5, square, fma(tail, square, fround(exponent * LN2_LOW)));
  return fma(exponent, LN2_HIGH, fround(mantissa + sum));
}

/** [sin x, cos x] of a float32 0 <= x < 2π. */
function sincosf(x: number): readonly [number, number] {
  const octant = (Math.trunc(fround(x * FOUR_OVER_PI)) + 1) & ~1;
  const folded = PI_4.reduce((rest, part) => fma(-octant, part, rest), x);
  const square = fround(folded * folded);
  const half = fround(square * 0.5);
  const cosine = fround(fma(fround(horner(COS, square) * square), square, -half) + 1);
  const sine = fma(fround(horner(SIN, square) * square), folded, folded);
  const swapped = (octant & 2) !== 0;
  const sineSign = octant & 4 ? -1 : 1;
  const cosineSign = (octant - 2) & 4 ? 1 : -1;
  return swapped ? [sineSign * cosine, cosineSign * sine] : [sineSign * sine, cosineSign * cosine];
}
