/** Lowering of the ops that only move elements. */
import { type CopyParams, copy } from "../../shaders/copy.ts";
import { reshape as reshapeKernel } from "../../shaders/reshape.ts";
import { channels, pitch, rows, type Shape, strides } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Emitter, Lowering } from "./lowering.ts";

/** Copies x to t's storage under a gather rule, made from the source's own strides. */
function emitCopy(
  t: Tensor,
  emitter: Emitter,
  rule: (stride: readonly number[]) => Partial<CopyParams> = () => ({}),
): void {
  const { storage, stride } = emitter.gather(t.inputs.x!);
  const shape = t.shape.length > 0 ? t.shape : [1];
  const before = shape.map(() => 0);
  const plain = { shape, stride, offset: 0, before, source: shape, value: 0 };
  const params = { ...plain, ...rule(stride) };
  emitter.dispatch(copy, params, { x: storage, y: emitter.write(t) }, t.label);
}

const permute: Lowering = {
  emit(t, emitter) {
    const axes = t.attrs.axes as number[];
    emitCopy(t, emitter, (stride) => ({ stride: axes.map((axis) => stride[axis]!) }));
  },
};

const slice: Lowering = {
  lazy: () => true,
  emit(t, emitter) {
    const { axis, start } = t.attrs as { axis: number; start: number };
    emitCopy(t, emitter, (stride) => ({ offset: start * stride[axis]! }));
  },
};

const expand: Lowering = {
  emit(t, emitter) {
    const from = t.inputs.x!.shape;
    emitCopy(t, emitter, (stride) => ({ stride: broadcastStrides(from, t.shape, stride) }));
  },
};

/** Strides of a tensor along the axes of `to`, to which it broadcasts: 0 where it repeats. */
export function broadcastStrides(
  from: Shape,
  to: Shape,
  stride: readonly number[] = strides(from),
): number[] {
  const lead = to.length - from.length;
  return to.map((_, axis) => (axis < lead || from[axis - lead] === 1 ? 0 : stride[axis - lead]!));
}

const pad: Lowering = {
  emit(t, emitter) {
    const source = t.inputs.x!.shape;
    const { before, value } = t.attrs as { before: number[]; value: number };
    emitCopy(t, emitter, () => ({ before, source, value }));
  },
};

const cast: Lowering = {
  emit(t, emitter) {
    const storage = emitter.read(t.inputs.x!);
    if (storage.type === t.dtype) emitter.alias(t, storage);
    else emitCopy(t, emitter);
  },
};

const reshape: Lowering = {
  lazy: () => true,
  emit(t, emitter) {
    const x = t.inputs.x!;
    const from = channels(x.shape);
    const to = channels(t.shape);
    const storage = emitter.read(x);
    const samePadding = from === to || (from % 4 === 0 && to % 4 === 0);
    // A bf16 parameter is f32 to everyone but the kernel that reads it from the file.
    if (samePadding && storage.type === t.dtype) return emitter.alias(t, storage);
    const params = { from, fromStride: 4 * pitch(x.shape), to, rows: rows(t.shape) };
    emitter.dispatch(reshapeKernel, params, { x: storage, y: emitter.write(t) }, t.label);
  },
};

export const LAYOUT = { permute, slice, expand, pad, cast, reshape };
