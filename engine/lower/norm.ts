/** Lowering of normalisations. */
import {
  type GroupNormParams,
  groupNormApply,
  groupNormChunks,
  groupNormJoin,
  groupNorm as groupNormKernel,
  groupNormMerge,
  groupNormStats,
} from "../../shaders/group-norm.ts";
import { layerNorm as layerNormKernel } from "../../shaders/layer-norm.ts";
import { channels, pitch, rows } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Emitter, Lowering, Storage } from "./lowering.ts";
import { joinsAligned } from "./resample.ts";

/** The weights that are there. */
function weightsOf({ inputs: { weight, bias } }: Tensor, emitter: Emitter) {
  return { weight: weight && emitter.read(weight), bias: bias && emitter.read(bias) };
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
    const read = { x: emitter.read(t.inputs.x!), ...weightsOf(t, emitter) };
    emitter.dispatch(layerNormKernel, params, { ...read, y: emitter.write(t) }, t.label);
  },
};

/**
 * Up to this many positions one workgroup reads a group sooner than three dispatches follow each other (48x48:
 * two levels of the UNet at 768x768, three at 512x512). A software adapter has no use for many threads that meet
 * at barriers.
 */
const FEW_ROWS = 2304;

/** At once, or moments of every group first (unless they are given), then their use. */
const groupNorm: Lowering = {
  emit(t, emitter) {
    const { storages, split } = parts(t.inputs.x!, emitter);
    const params = { ...groupNormParams(t), ...split };
    const weights = weightsOf(t, emitter);
    const atOnce = (t.attrs.atOnce as boolean | undefined) ?? !emitter.target.software;
    const given = t.inputs.moments;
    if (atOnce && !given && params.rows <= FEW_ROWS) {
      const all = { ...storages, ...weights, y: emitter.write(t) };
      emitter.dispatch(groupNormKernel, params, all, t.label);
      return;
    }
    const { x, beside } = storages;
    const moments = given ? emitter.read(given) : emitMoments(t, params, { x, beside }, emitter);
    const all = { ...storages, moments, ...weights, y: emitter.write(t) };
    emitter.dispatch(groupNormApply, params, all, t.label);
  },
};

interface Parts {
  readonly storages: { readonly x: Storage; readonly beside?: Storage; readonly both?: Storage };
  readonly split?: { readonly split: number };
}

/** Where x lies: in two parts, to be joined, if nobody has wanted it before. */
function parts(x: Tensor, emitter: Emitter): Parts {
  if (!joinsAligned(x, emitter.target) || emitter.placed(x)) {
    return { storages: { x: emitter.read(x) } };
  }
  const { a, b } = x.inputs as { a: Tensor; b: Tensor };
  const storages = { x: emitter.read(a), beside: emitter.read(b) };
  return { storages: { ...storages, both: emitter.write(x) }, split: { split: channels(a.shape) } };
}

/** x [B, ..., C] -> [B, groups, 4]: mean, 1 / √(var + eps), Σ (x - mean)², how many. */
const moments: Lowering = {
  emit(t, emitter) {
    const x = t.inputs.x!;
    const whole = { ...t, shape: x.shape };
    const made = emitMoments(whole, groupNormParams(whole), { x: emitter.read(x) }, emitter);
    emitter.alias(t, made);
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

/**
 * Of each channel over chunks of rows, then of each group: merging in a dispatch of its own keeps barriers,
 * and one thread's search for its groups, out of the large ones.
 */
function emitMoments(
  { label, shape }: Tensor,
  params: GroupNormParams,
  x: { readonly x: Storage; readonly beside?: Storage | undefined },
  emitter: Emitter,
): Storage {
  const count = params.batch * groupNormChunks(params) * pitch(shape);
  const means = emitter.scratch("f32", count, `${label} means`);
  const squares = emitter.scratch("f32", count, `${label} squares`);
  const moments = emitter.scratch("f32", params.batch * params.groups, `${label} moments`);
  emitter.dispatch(groupNormStats, params, { ...x, means, squares }, label);
  emitter.dispatch(groupNormMerge, params, { means, squares, moments }, label);
  return moments;
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
