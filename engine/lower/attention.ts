/** Lowering of attention: heads of up to 128 channels by one kernel (of two forms), wider ones by matrix products. */
import { attention as attentionTiles } from "../../shaders/attention.ts";
import { attentionRows } from "../../shaders/attention-rows.ts";
import { attention as attentionOp } from "../ops/attention.ts";
import { cast, mul } from "../ops/elementwise.ts";
import { concat, permute, reshape, slice, split, transpose } from "../ops/layout.ts";
import { matmul } from "../ops/linear.ts";
import { softmax } from "../ops/norm.ts";
import { channels } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Lowering } from "./lowering.ts";
import { tunedBlock } from "./tuned.ts";

/** The kernels have room for the sums of this many channels of v. */
const MAX_CHANNELS = 128;

/** Bytes of scores that exist at one time where they are written out. */
const MAX_SCORES = 64 * 2 ** 20;

const attention: Lowering = {
  rewrite(t) {
    const { heads, d, e, causal } = sizes(t);
    const wide = Math.max(d, e) > MAX_CHANNELS;
    const unaligned = d % 4 !== 0 || e % 4 !== 0;
    if (heads > 1 && (wide || unaligned)) return headsAsBatch(t);
    if (wide && !causal) return byProducts(t);
    return e > MAX_CHANNELS ? byChannels(t) : undefined;
  },
  emit(t, emitter) {
    const { q, k, v } = t.inputs as { q: Tensor; k: Tensor; v: Tensor };
    const views = { q: emitter.view(q), k: emitter.view(k), v: emitter.view(v) };
    const storages = { q: views.q.storage, k: views.k.storage, v: views.v.storage };
    const y = emitter.write(t);
    const params = { ...sizes(t), ...views };
    const operands = { ...storages, y };
    if (emitter.target.software) emitter.dispatch(attentionRows, params, operands, t.label);
    else {
      const problem = { op: "attention", dtype: y.type, ...sizes(t) } as const;
      const block = tunedBlock(problem, emitter.target);
      emitter.dispatch(attentionTiles, { ...params, block }, operands, t.label);
    }
  },
};

function sizes({ inputs, attrs }: Tensor) {
  const { q, k, v } = inputs as { q: Tensor; k: Tensor; v: Tensor };
  const { heads, scale, causal } = attrs as { heads: number; scale: number; causal: boolean };
  return {
    batch: q.shape[0]!,
    heads,
    queries: q.shape[1]!,
    keys: k.shape[1]!,
    d: channels(q.shape) / heads,
    e: channels(v.shape) / heads,
    scale,
    causal,
  };
}

/** The attrs of t as options of the op. */
function options({ attrs }: Tensor) {
  return { scale: attrs.scale as number, isCausal: attrs.causal as boolean };
}

/** Each head as a picture of its own: then its rows start on vec4 borders. */
function headsAsBatch(t: Tensor): Tensor {
  const { batch, heads, queries, e } = sizes(t);
  const apart = (x: Tensor) => {
    const [, rows, width] = x.shape as [number, number, number];
    const byHead = permute(reshape(x, [batch, rows, heads, width / heads]), [0, 2, 1, 3]);
    return reshape(byHead, [batch * heads, rows, width / heads]);
  };
  const { q, k, v } = t.inputs as { q: Tensor; k: Tensor; v: Tensor };
  const y = attentionOp(apart(q), apart(k), apart(v), 1, options(t));
  const together = permute(reshape(y, [batch, heads, queries, e]), [0, 2, 1, 3]);
  return reshape(together, t.shape);
}

/** softmax(q·kᵀ·scale)·v for some rows at a time. Scores are f32: in f16 they might overflow. */
function byProducts(t: Tensor): Tensor {
  const { batch, queries, keys, scale } = sizes(t);
  const { q, k, v } = t.inputs as { q: Tensor; k: Tensor; v: Tensor };
  const scaled = mul(cast(q, "f32"), scale);
  const kT = transpose(k, 1, 2);
  const bytes = (t.attrs.scoreBytes as number | undefined) ?? MAX_SCORES;
  const rows = Math.max(1, Math.floor(bytes / (4 * batch * keys)));
  const some = (from: number) => {
    const part = rows < queries ? slice(scaled, 1, from, from + rows) : scaled;
    return cast(matmul(softmax(matmul(part, kT)), v), t.dtype);
  };
  const starts = Array.from({ length: Math.ceil(queries / rows) }, (_, i) => i * rows);
  return joined(starts.map(some));
}

/** Rows put together pair by pair: one by one, those of a large picture would be copied thousands of times. */
function joined(parts: readonly Tensor[]): Tensor {
  if (parts.length === 1) return parts[0]!;
  const half = Math.ceil(parts.length / 2);
  return concat([joined(parts.slice(0, half)), joined(parts.slice(half))], 1);
}

/** Some channels of v at a time (the scores are computed anew for each). */
function byChannels(t: Tensor): Tensor {
  const { q, k, v } = t.inputs as { q: Tensor; k: Tensor; v: Tensor };
  const parts = split(v, MAX_CHANNELS, 2).map((part) => attentionOp(q, k, part, 1, options(t)));
  return concat(parts, 2);
}

export const ATTENTION = { attention };
