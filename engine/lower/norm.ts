/** Lowering of normalisations. */
import {
  type GroupNormParams,
  groupNormApply,
  groupNormChunks,
  groupNormMerge,
  groupNormStats,
} from "../../shaders/group-norm.ts";
import { layerNorm as layerNormKernel } from "../../shaders/layer-norm.ts";
import { channels, pitch, rows } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Emitter, Lowering } from "./lowering.ts";

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
      eps: t.attrs["eps"] as number,
      weighted: t.inputs["weight"] !== undefined,
      alone: (t.attrs["alone"] as boolean | undefined) ?? emitter.target.software,
    };
    const read = operands(t, emitter);
    emitter.dispatch(layerNormKernel, params, { ...read, y: emitter.write(t) }, t.label);
  },
};

/**
 * Statistics are f32 scratch: of each channel over chunks of rows, then of each group. Merging them in a
 * dispatch of its own keeps barriers, and one thread's search for its groups, out of the two large ones.
 */
const groupNorm: Lowering = {
  emit(t, emitter) {
    const params = groupNormParams(t);
    const { batch, groups } = params;
    const count = batch * groupNormChunks(params) * pitch(t.shape);
    const { x, weight, bias } = operands(t, emitter);
    const means = emitter.scratch("f32", count, `${t.label} means`);
    const squares = emitter.scratch("f32", count, `${t.label} squares`);
    const moments = emitter.scratch("f32", batch * groups, `${t.label} moments`);
    emitter.dispatch(groupNormStats, params, { x, means, squares }, t.label);
    emitter.dispatch(groupNormMerge, params, { means, squares, moments }, t.label);
    const y = emitter.write(t);
    emitter.dispatch(groupNormApply, params, { x, moments, weight, bias, y }, t.label);
  },
};

function groupNormParams({ shape, inputs, attrs }: Tensor): GroupNormParams {
  const batch = shape[0]!;
  return {
    batch,
    rows: rows(shape) / batch,
    channels: channels(shape),
    groups: attrs["groups"] as number,
    eps: attrs["eps"] as number,
    silu: attrs["activation"] === "silu",
    weighted: inputs["weight"] !== undefined,
  };
}

export const NORM = { layer_norm: layerNorm, group_norm: groupNorm };
