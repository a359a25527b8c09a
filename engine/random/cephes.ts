/** Logarithm, sine and cosine in float32, operation by operation as PyTorch's AVX2 code runs them. */

const { fround } = Math;

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
export function logf(x: number): number {
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
export function sincosf(x: number): readonly [number, number] {
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
