/** Lowering of the ops that put pictures and tensors together anew: concat, interpolate, max_pool2d. */
import { concat as concatKernel } from "../../shaders/concat.ts";
import {
  type InterpolateParams,
  interpolate as interpolateKernel,
} from "../../shaders/interpolate.ts";
import { type MaxPool2dParams, maxPool2d as maxPool2dKernel } from "../../shaders/max-pool2d.ts";
import type { Padding } from "../ops/conv2d.ts";
import { channels, numel } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Lowering, Target } from "./lowering.ts";

const concat: Lowering = {
  // A group norm may read both parts and join them as it goes.
  lazy: joinsAligned,
  emit(t, emitter) {
    const a = t.inputs.a!;
    const b = t.inputs.b!;
    const axis = t.attrs.axis as number;
    const rowsOf = (shape: readonly number[]) => numel(shape.slice(axis, -1));
    const params = {
      outer: numel(t.shape.slice(0, axis)),
      channelsA: channels(a.shape),
      channelsB: channels(b.shape),
      channels: channels(t.shape),
      rowsA: rowsOf(a.shape),
      rowsB: rowsOf(b.shape),
    };
    const operands = { a: emitter.read(a), b: emitter.read(b), y: emitter.write(t) };
    emitter.dispatch(concatKernel, params, operands, t.label);
  },
};

/** Channels beside channels, the second part from a vec4 border on. Software adapters compile each variant of a kernel dearly. */
export function joinsAligned(t: Tensor, target: Target): boolean {
  if (target.software || t.op !== "concat" || t.attrs.axis !== t.shape.length - 1) return false;
  return Object.values(t.inputs).every(({ shape }) => channels(shape) % 4 === 0);
}

const interpolate: Lowering = {
  emit(t, emitter) {
    const x = t.inputs.x!;
    const [batch, fromHeight, fromWidth, channels] = x.shape as [number, number, number, number];
    const [, toHeight, toWidth] = t.shape as [number, number, number, number];
    const { mode, alignCorners, scaleFactor } = t.attrs as unknown as InterpolateAttrs;
    const scale = (from: number, to: number) =>
      alignCorners ? (from - 1) / Math.max(1, to - 1) : scaleFactor ? 1 / scaleFactor : from / to;
    const params: InterpolateParams = {
      batch,
      channels,
      from: [fromHeight, fromWidth],
      to: [toHeight, toWidth],
      scale: [scale(fromHeight, toHeight), scale(fromWidth, toWidth)],
      mode,
      alignCorners,
    };
    const operands = { x: emitter.read(x), y: emitter.write(t) };
    emitter.dispatch(interpolateKernel, params, operands, t.label);
  },
};

interface InterpolateAttrs {
  readonly mode: InterpolateParams["mode"];
  readonly alignCorners: boolean;
  readonly scaleFactor?: number;
}

const maxPool2d: Lowering = {
  emit(t, emitter) {
    const x = t.inputs.x!;
    const [batch, fromHeight, fromWidth, channels] = x.shape as [number, number, number, number];
    const [, toHeight, toWidth] = t.shape as [number, number, number, number];
    const { kernel, stride, padding } = t.attrs as unknown as PoolAttrs;
    const params: MaxPool2dParams = {
      batch,
      channels,
      from: [fromHeight, fromWidth],
      to: [toHeight, toWidth],
      kernel,
      stride,
      top: padding[0],
      left: padding[2],
    };
    const operands = { x: emitter.read(x), y: emitter.write(t) };
    emitter.dispatch(maxPool2dKernel, params, operands, t.label);
  },
};

interface PoolAttrs {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: Padding;
}

export const RESAMPLE = { concat, interpolate, max_pool2d: maxPool2d };
