/** Normalisations in float64, by the definition. */

export interface Scale {
  readonly weight?: ArrayLike<number>;
  readonly bias?: ArrayLike<number>;
  readonly eps?: number;
}

/** x [rows, C] over C. */
export function layerNormReference(
  x: ArrayLike<number>,
  C: number,
  scale: Scale = {},
): Float64Array {
  return groupNormReference(x, { B: x.length / C, P: 1, C, groups: 1 }, scale);
}

/** x [B, P, C] over P and the C / groups channels of a group. */
export function groupNormReference(
  x: ArrayLike<number>,
  { B, P, C, groups }: { B: number; P: number; C: number; groups: number },
  { weight, bias, eps = 1e-5 }: Scale = {},
): Float64Array {
  const y = new Float64Array(x.length);
  const size = C / groups;
  for (let b = 0; b < B; b++) {
    for (let g = 0; g < groups; g++) {
      const at = (i: number) => (b * P + Math.floor(i / size)) * C + g * size + (i % size);
      let mean = 0;
      for (let i = 0; i < P * size; i++) mean += x[at(i)]! / (P * size);
      let variance = 0;
      for (let i = 0; i < P * size; i++) variance += (x[at(i)]! - mean) ** 2 / (P * size);
      for (let i = 0; i < P * size; i++) {
        const c = at(i) % C;
        const v = (x[at(i)]! - mean) / Math.sqrt(variance + eps);
        y[at(i)] = v * (weight?.[c] ?? 1) + (bias?.[c] ?? 0);
      }
    }
  }
  return y;
}
