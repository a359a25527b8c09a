/** Lowering of normalisations. */
import {
  type GroupNormParams,
  groupNormApply,
  groupNormChunks,
  groupNormJoin,
  groupNormMerge,
  groupNormMoments,
  groupNormStats,
} from "../../shaders/group-norm.ts";
import { layerNorm as layerNormKernel } from "../../shaders/layer-norm.ts";
import { channels, pitch, rows } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Emitter, Lowering, Storage } from "./lowering.ts";

/** x, and the weights that are there. */
function operands(t: Tensor, emitter: Emitter) {
  const { x, weight, bias } = t.inputs;
  return {
    x: emitter.read(x!),
    weight: weight && emitter.read(weight),
    bias: bias && emitter.read(bias),
  };
}

const layerNorm: Lowering = {
  emit(t, emitter) {
    const params = {
      rows: rows(t.shape),
      channels: channels(t.shape),
      eps: t.attrs.eps as number,
      weighted: t.inputs.weight !== undefined,
      alone: (t.attrs.alone as boolean | undefined) ?? emitter.target.software,
    };
    const read = operands(t, emitter);
    emitter.dispatch(layerNormKernel, params, { ...read, y: emitter.write(t) }, t.label);
  },
};

/**
 * Up to this many positions one workgroup a group is enough, and saves a dispatch. A software adapter has
 * no use for many threads that meet at barriers.
 */
const FEW_ROWS = 1024;

/** Moments of every group first (unless they are given), then their use. */
const groupNorm: Lowering = {
  emit(t, emitter) {
    const params = groupNormParams(t);
    const { x, weight, bias } = operands(t, emitter);
    const room = () => emitter.scratch("f32", params.batch * params.groups, `${t.label} moments`);
    const given = t.inputs.moments;
    const moments = given ? emitter.read(given) : room();
    if (!given) emitMoments(t, params, { x, moments }, emitter);
    const y = emitter.write(t);
    emitter.dispatch(groupNormApply, params, { x, moments, weight, bias, y }, t.label);
  },
};

/** x [B, ..., C] -> [B, groups, 4]: mean, 1 / √(var + eps), Σ (x - mean)², how many. */
const moments: Lowering = {
  emit(t, emitter) {
    const { x } = t.inputs as { x: Tensor };
    const params = groupNormParams({ ...t, shape: x.shape });
    emitMoments(
      { ...t, shape: x.shape },
      params,
      { x: emitter.read(x), moments: emitter.write(t) },
      emitter,
    );
  },
};

/** Those of two parts as those of both. */
const join: Lowering = {
  emit(t, emitter) {
    const operands = { a: emitter.read(t.inputs.a!), b: emitter.read(t.inputs.b!) };
    const params = { moments: rows(t.shape), eps: t.attrs.eps as number };
    emitter.dispatch(groupNormJoin, params, { ...operands, y: emitter.write(t) }, t.label);
  },
};

type XAndMoments = Readonly<Record<"x" | "moments", Storage>>;

function emitMoments(
  t: Tensor,
  params: GroupNormParams,
  both: XAndMoments,
  emitter: Emitter,
): void {
  const atOnce = (t.attrs.atOnce as boolean | undefined) ?? !emitter.target.software;
  if (!atOnce || params.rows > FEW_ROWS) emitChunks(t, params, both, emitter);
  else emitter.dispatch(groupNormMoments, params, { ...both }, t.label);
}

/**
 * Of each channel over chunks of rows, then of each group: merging in a dispatch of its own keeps barriers,
 * and one thread's search for its groups, out of the large ones.
 */
function emitChunks(
  { label, shape }: Tensor,
  params: GroupNormParams,
  { x, moments }: XAndMoments,
  emitter: Emitter,
): void {
  const count = params.batch * groupNormChunks(params) * pitch(shape);
  const means = emitter.scratch("f32", count, `${label} means`);
  const squares = emitter.scratch("f32", count, `${label} squares`);
  emitter.dispatch(groupNormStats, params, { x, means, squares }, label);
  emitter.dispatch(groupNormMerge, params, { means, squares, moments }, label);
}

function groupNormParams({ shape, inputs, attrs }: Tensor): GroupNormParams {
  const batch = shape[0]!;
  return {
    batch,
    rows: rows(shape) / batch,
    channels: channels(shape),
    groups: attrs.groups as number,
    eps: attrs.eps as number,
    silu: attrs.activation === "silu",
    weighted: inputs.weight !== undefined,
  };
}

export const NORM = {
  layer_norm: layerNorm,
  group_norm: groupNorm,
  group_moments: moments,
  group_moments_join: join,
};
