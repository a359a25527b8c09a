/**
 * The polynomial that is 1 at knot number `at` and 0 at the others: its coefficients, lowest power first.
 * What the multistep solvers integrate.
 */
export function lagrange(knots: readonly number[], at: number): number[] {
  let coefficients = [1];
  for (const [k, knot] of knots.entries()) {
    if (k === at) continue;
    coefficients = timesLinear(coefficients, knot).map((c) => c / (knots[at]! - knot));
  }
  return coefficients;
}

/** The product with (t − root). */
function timesLinear(coefficients: readonly number[], root: number): number[] {
  return [...coefficients, 0].map((c, power) => (coefficients[power - 1] ?? 0) - root * c);
}
