/** Terms of the series at x = 1/2, where each is less than half of the one before. */
const TERMS = 60;
/** Halvings that leave nothing between two doubles, down to 1e-16 of the interval. */
const HALVINGS = 90;

/**
 * The quantile of the symmetric beta distribution B(a, a): x with I_x(a, a) = p, for 0 <= p <= 1.
 * Below the middle I_x is ∫₀ˣ t^(a−1)·(1−t)^(a−1) dt over twice the integral to 1/2, so that no gamma
 * function is needed; above it, 1 − x takes its place.
 */
export function betaQuantile(p: number, a: number): number {
  if (p > 0.5) return 1 - betaQuantile(1 - p, a);
  const target = 2 * p * incomplete(0.5, a);
  let [low, high] = [0, 0.5];
  for (let i = 0; i < HALVINGS; i++) {
    const middle = (low + high) / 2;
    if (incomplete(middle, a) < target) low = middle;
    else high = middle;
  }
  return high;
}

/** ∫₀ˣ t^(a−1)·(1−t)^(a−1) dt = x^a · Σ (1−a)ₙ/n! · xⁿ/(a+n)   (DLMF 8.17.7). */
function incomplete(x: number, a: number): number {
  let [factor, sum] = [1, 0];
  for (let n = 0; n < TERMS; n++) {
    sum += factor / (a + n);
    factor *= ((1 - a + n) / (n + 1)) * x;
  }
  return x ** a * sum;
}
