/** Scaled dot-product attention, softmax(q·kᵀ·scale)·v, in two layouts. */
import { shapeError } from "../errors.ts";
import { createTensor, type Tensor } from "../tensor.ts";
import { floating } from "./elementwise.ts";
import { reshape } from "./layout.ts";

export interface AttentionOptions {
  /** Query i sees keys 0..i only. Default false. */
  readonly isCausal?: boolean;
  /** Factor on q·kᵀ. Default 1/√d. */
  readonly scale?: number;
}

/**
 * Rows of softmax(q·kᵀ·scale)·v with the running maximum of Milakov and Gimelshein 2018 (arXiv:1805.02867).
 * q [..., N, d], k [..., M, d], v [..., M, e] with equal leading axes (usually batch, heads) -> [..., N, e].
 * Throws SHAPE if batch axes, M or d differ. The score matrix is never materialised for d <= 128.
 */
export function scaledDotProductAttention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  options: AttentionOptions = {},
): Tensor {
  const op = "scaled_dot_product_attention";
  for (const t of [q, k, v]) floating(op, t);
  const lead = q.shape.slice(0, -2);
  const agree = [k, v].every(
    (t) => t.shape.length === q.shape.length && lead.every((n, i) => t.shape[i] === n),
  );
  const [N, d] = q.shape.slice(-2) as [number, number];
  const [M, kd] = k.shape.slice(-2) as [number, number];
  const [vM, e] = v.shape.slice(-2) as [number, number];
  if (q.shape.length < 2 || !agree || kd !== d || vM !== M) {
    throw shapeError(
      op,
      `q is [${q.shape}], k is [${k.shape}], v is [${v.shape}]: expected q [..., N, d], k [..., M, d], v [..., M, e]`,
    );
  }
  const batch = lead.reduce((a, b) => a * b, 1);
  const flat = (t: Tensor, n: number, c: number) => reshape(t, [batch, n, c]);
  const out = attention(flat(q, N, d), flat(k, M, d), flat(v, M, e), 1, options);
  return reshape(out, [...lead, N, e]);
}

/**
 * Multi-head attention with the heads side by side in the channels, as projections leave them:
 * q [B, N, heads·d], k [B, M, heads·d], v [B, M, heads·e] -> [B, N, heads·e].
 * Throws SHAPE if the sizes do not fit.
 */
export function attention(
  q: Tensor,
  k: Tensor,
  v: Tensor,
  heads: number,
  options: AttentionOptions = {},
): Tensor {
  for (const t of [q, k, v]) floating("attention", t);
  const [B, N, C] = q.shape as [number, number, number];
  const [kB, M, kC] = k.shape as [number, number, number];
  const [vB, vM, vC] = v.shape as [number, number, number];
  const ranks = [q, k, v].every((t) => t.shape.length === 3);
  if (
    !ranks ||
    kB !== B ||
    vB !== B ||
    kC !== C ||
    vM !== M ||
    C % heads !== 0 ||
    vC % heads !== 0
  ) {
    throw shapeError(
      "attention",
      `q is [${q.shape}], k is [${k.shape}], v is [${v.shape}] with ${heads} heads: expected [B, N, heads·d], [B, M, heads·d], [B, M, heads·e]`,
    );
  }
  const scale = options.scale ?? 1 / Math.sqrt(C / heads);
  const attrs = { heads, scale, causal: options.isCausal ?? false };
  return createTensor("attention", [B, N, vC], q.dtype, { q, k, v }, attrs);
}
