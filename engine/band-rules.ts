/** Which rows of its inputs an op needs for some rows of its result: the knowledge of `bands.ts`, a row an op. */
import { BYTES } from "./dtype.ts";
import type { Padding } from "./ops/conv2d.ts";
import { pitch, sameShape } from "./shape.ts";
import type { Attrs, Tensor } from "./tensor.ts";

export interface BandRule {
  /** Whether this tensor of four axes can be computed in bands. */
  applies(t: Tensor): boolean;
  /** For rows from..to-1 of t: first row of an input that is needed, and the one behind the last; undefined: all of it. */
  rows(t: Tensor, input: string, from: number, to: number): readonly [number, number] | undefined;
  /** What else is different in a band. */
  attrs?(t: Tensor, from: number, to: number): Attrs;
}

/** Bytes of one row [B, 1, W, C] of a picture; 0 for other tensors. */
export function rowBytes({ shape, dtype }: Tensor): number {
  const [batch, height, width] = shape as [number, number, number];
  if (shape.length !== 4 || height < 2) return 0;
  return batch * width * pitch(shape) * 4 * BYTES[dtype];
}

/** Row by row: pictures of the result's height in the same rows, whatever else (weights, one row for all) whole. */
const rowwise: BandRule = {
  applies(t) {
    const pictures = Object.values(t.inputs).filter(({ shape }) => shape.length === 4);
    const small = Object.values(t.inputs).every(
      ({ shape }) => shape.length === 4 || shape.length <= 2,
    );
    return (
      rowBytes(t) > 0 && small && pictures.every(({ shape }) => [1, t.shape[1]].includes(shape[1]))
    );
  },
  rows(t, input, from, to) {
    const { shape } = t.inputs[input]!;
    return shape.length === 4 && shape[1] === t.shape[1] ? [from, to] : undefined;
  },
};

const conv2d: BandRule = {
  applies(t) {
    const upsampled = t.attrs.upsampled as readonly number[] | undefined;
    return rowBytes(t) > 0 && (!upsampled || upsampled[0] === 2 * t.inputs.x!.shape[1]!);
  },
  rows(t, input, from, to) {
    if (input === "x") return window(t, from, to).rows;
    // Weights have four axes too.
    return input === "residual" && sameShape(t.inputs.residual!.shape, t.shape)
      ? [from, to]
      : undefined;
  },
  attrs(t, from, to) {
    const { padding, height } = window(t, from, to);
    const upsampled = t.attrs.upsampled as readonly number[] | undefined;
    return { padding, ...(upsampled ? { upsampled: [height, upsampled[1]] } : {}) };
  },
};

/**
 * The rows of x under the kernel for rows from..to-1, their height as the kernel sees them, and what is to be
 * added above and below: -1 where the second of two equal rows is the first that is wanted.
 */
function window({ attrs, inputs }: Tensor, from: number, to: number) {
  const { stride, upsampled } = attrs as { stride: [number, number]; upsampled?: [number, number] };
  const [top, , left, right] = attrs.padding as Padding;
  const source = inputs.x!.shape[1]!;
  const times = upsampled ? 2 : 1;
  const start = from * stride[0] - top;
  const end = (to - 1) * stride[0] + inputs.weight!.shape[2]! - top;
  const first = Math.min(source - 1, Math.floor(Math.max(0, start) / times));
  const last = Math.max(first + 1, Math.ceil(Math.min(times * source, end) / times));
  const padding: Padding = [times * first - start, end - times * last, left, right];
  return { rows: [first, last] as const, height: times * (last - first), padding };
}

/** Joined or cut along another axis than the rows. */
const across: BandRule = {
  applies: (t) => rowBytes(t) > 0 && t.attrs.axis !== 1,
  rows: (_t, _input, from, to) => [from, to],
};

export const RULES: Readonly<Record<string, BandRule>> = {
  unary: rowwise,
  cast: rowwise,
  binary: rowwise,
  linear: rowwise,
  group_norm: rowwise,
  conv2d,
  concat: across,
  slice: across,
};
