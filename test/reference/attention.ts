/** Attention in float64, by the definition. */

export interface AttentionSizes {
  readonly B: number;
  readonly N: number;
  readonly M: number;
  readonly heads: number;
  readonly d: number;
  readonly e: number;
  readonly causal?: boolean;
  /** Default 1/√d. */
  readonly scale?: number;
}

/** q [B, N, heads·d], k [B, M, heads·d], v [B, M, heads·e] -> [B, N, heads·e]. */
export function attentionReference(
  q: ArrayLike<number>,
  k: ArrayLike<number>,
  v: ArrayLike<number>,
  sizes: AttentionSizes,
): Float64Array {
  const { B, N, M, heads, d, e, causal = false, scale = 1 / Math.sqrt(d) } = sizes;
  const y = new Float64Array(B * N * heads * e);
  for (let row = 0; row < B * N; row++) {
    const [b, n] = [Math.floor(row / N), row % N];
    const seen = causal ? Math.min(M, n + 1) : M;
    for (let h = 0; h < heads; h++) {
      const scores = Array.from({ length: seen }, (_, m) => {
        let sum = 0;
        const at = ((b * M + m) * heads + h) * d;
        for (let c = 0; c < d; c++) sum += q[(row * heads + h) * d + c]! * k[at + c]!;
        return sum * scale;
      });
      const top = Math.max(...scores);
      const weights = scores.map((score) => Math.exp(score - top));
      const total = weights.reduce((a, w) => a + w, 0);
      weights.forEach((weight, m) => {
        for (let c = 0; c < e; c++) {
          y[(row * heads + h) * e + c]! += (weight / total) * v[((b * M + m) * heads + h) * e + c]!;
        }
      });
    }
  }
  return y;
}
