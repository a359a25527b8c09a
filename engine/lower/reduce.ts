/** Lowering of reductions along rows, and of look-ups. */
import { embedding as embeddingKernel } from "../../shaders/embedding.ts";
import { mean as meanKernel } from "../../shaders/mean.ts";
import { softmax as softmaxKernel } from "../../shaders/softmax.ts";
import { BYTES, type StoredType } from "../dtype.ts";
import { permute, reshape } from "../ops/layout.ts";
import { channels, numel, pitch, rows, sameShape } from "../shape.ts";
import { createTensor, type ParameterSource, parameterRows, type Tensor } from "../tensor.ts";
import type { Lowering } from "./lowering.ts";

/** x [R, N] -> [R, 1] has a kernel; whatever else is brought to this form. */
const mean: Lowering = {
  rewrite(t) {
    const x = t.inputs.x!;
    const axes = t.attrs.axes as number[];
    const count = axes.reduce((n, axis) => n * x.shape[axis]!, 1);
    const flat = [numel(x.shape) / count, count];
    if (sameShape(x.shape, flat) && sameShape(t.shape, [flat[0]!, 1]) && axes[0] === 1)
      return undefined;
    const lines = reshape(axesLast(x, axes), flat);
    const means = createTensor(
      "mean",
      [flat[0]!, 1],
      t.dtype,
      { x: lines },
      { axes: [1] },
      t.label,
    );
    return reshape(means, t.shape);
  },
  emit(t, emitter) {
    const x = t.inputs.x!;
    const params = { rows: rows(x.shape), channels: channels(x.shape) };
    emitter.dispatch(meanKernel, params, { x: emitter.read(x), y: emitter.write(t) }, t.label);
  },
};

function axesLast(x: Tensor, axes: readonly number[]): Tensor {
  const kept = x.shape.map((_, axis) => axis).filter((axis) => !axes.includes(axis));
  const order = [...kept, ...axes];
  return order.every((axis, i) => axis === i) ? x : permute(x, order);
}

const softmax: Lowering = {
  rewrite(t) {
    const dim = t.attrs.dim as number;
    const last = t.shape.length - 1;
    if (dim === last) return undefined;
    const order = t.shape
      .map((_, axis) => axis)
      .with(dim, last)
      .with(last, dim);
    const x = permute(t.inputs.x!, order);
    return permute(createTensor("softmax", x.shape, t.dtype, { x }, { dim: last }, t.label), order);
  },
  emit(t, emitter) {
    const params = { rows: rows(t.shape), channels: channels(t.shape) };
    const x = emitter.read(t.inputs.x!);
    emitter.dispatch(softmaxKernel, params, { x, y: emitter.write(t) }, t.label);
  },
};

/** A table larger than a binding is looked up piece by piece; each adds the rows that it has. */
const embedding: Lowering = {
  rewrite(t, target) {
    const { ids, weight, previous } = t.inputs;
    const [entries, width] = weight!.shape as [number, number];
    const perRow = 4 * pitch([width]) * BYTES[widestType(weight!)];
    const fitting = Math.floor(target.maxBindingSize / perRow / 4) * 4;
    if (entries <= fitting || fitting < 1 || !rowsOf(weight!, 0, 1)) return undefined;
    const first = (t.attrs.first as number) ?? 0;
    const look = (from: number, to: number, before?: Tensor) => {
      const inputs = { ids, weight: rowsOf(weight!, from, to), previous: before };
      return createTensor("embedding", t.shape, t.dtype, inputs, { first: first + from }, t.label);
    };
    let result = previous;
    for (let from = 0; from < entries; from += fitting) {
      result = look(from, Math.min(from + fitting, entries), result);
    }
    return result;
  },
  emit(t, emitter) {
    const { ids, weight, previous } = t.inputs;
    const params = {
      ids: numel(ids!.shape),
      channels: channels(t.shape),
      first: (t.attrs.first as number) ?? 0,
      entries: weight!.shape[0]!,
      idChannels: channels(ids!.shape),
    };
    const operands = {
      ids: emitter.read(ids!),
      weight: emitter.read(weight!),
      previous: previous && emitter.read(previous),
      y: emitter.write(t),
    };
    emitter.dispatch(embeddingKernel, params, operands, t.label);
  },
};

/** The larger of how a table lies in the file and how it is used: both must fit a binding. */
function widestType(weight: Tensor): StoredType {
  const leaf = weight.op === "cast" ? weight.inputs.x! : weight;
  const stored = (leaf.attrs.source as ParameterSource | undefined)?.type ?? leaf.dtype;
  const padded = channels(weight.shape) % 4 !== 0;
  const types: StoredType[] = padded ? [stored, leaf.dtype, weight.dtype] : [stored, weight.dtype];
  return types.reduce((a, b) => (BYTES[b] > BYTES[a] ? b : a));
}

/** Rows of a parameter, or of one in another dtype; undefined for tables that are no parameters. */
function rowsOf(weight: Tensor, from: number, to: number): Tensor | undefined {
  if (weight.op === "parameter") return parameterRows(weight, from, to);
  const inner = weight.op === "cast" ? rowsOf(weight.inputs.x!, from, to) : undefined;
  return inner && createTensor("cast", inner.shape, weight.dtype, { x: inner }, {}, inner.label);
}

export const REDUCE = { mean, softmax, embedding };
