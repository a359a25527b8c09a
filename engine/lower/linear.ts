/** Lowering of matrix products and convolutions: weights are packed [.., in, out], then gemm or conv2d. */
import { type Conv2dParams, conv2d as conv2dKernel, convProduct } from "../../shaders/conv2d.ts";
import { type Activation, type Epilogue, NO_EPILOGUE } from "../../shaders/epilogue.ts";
import { type GemmParams, gemm as gemmKernel } from "../../shaders/gemm.ts";
import { type SplitKSumParams, splitKSum } from "../../shaders/split-k-sum.ts";
import type { Padding } from "../ops/conv2d.ts";
import { cast } from "../ops/elementwise.ts";
import { expand, pad, permute, reshape, transpose } from "../ops/layout.ts";
import { linear as linearOp } from "../ops/linear.ts";
import { channels, numel, rows, sameShape, vectors } from "../shape.ts";
import { createTensor, type Tensor } from "../tensor.ts";
import type { Emitter, Lowering, Storage } from "./lowering.ts";
import { emitPlanes, type PlaneProduct, planesFit } from "./planes.ts";
import { tunedTiling } from "./tuned.ts";

/** What fusion may have added to a linear or conv2d node. */
export interface EpilogueAttrs {
  readonly activation?: Activation;
  readonly scale?: number;
  readonly gated?: boolean;
}

/** x·Wᵀ becomes x·w with w = Wᵀ in the dtype of x; biases are f32. */
const linear: Lowering = {
  rewrite(t) {
    const { x, weight, bias } = t.inputs;
    const w = cast(wholeVectors(transpose(weight!, 0, 1), 0), x!.dtype);
    const inputs = { ...t.inputs, x: x!, weight: undefined, w, bias: bias && cast(bias, "f32") };
    return createTensor(
      "gemm",
      t.shape,
      t.dtype,
      inputs,
      { ...t.attrs, batch: 1, M: rows(x!.shape) },
      t.label,
    );
  },
};

/** Kernels read the summed axis four at a time: zeros up to the next multiple. */
function wholeVectors(w: Tensor, axis: number): Tensor {
  const missing = -w.shape[axis]! & 3;
  if (missing === 0) return w;
  const padding = new Array<number>(2 * w.shape.length).fill(0);
  padding[2 * (w.shape.length - 1 - axis) + 1] = missing;
  return pad(w, padding);
}

const matmul: Lowering = {
  rewrite(t) {
    const { a, b } = t.inputs as { a: Tensor; b: Tensor };
    const lead = t.shape.slice(0, -2);
    const batch = lead.reduce((product, n) => product * n, 1);
    const [M, K] = a.shape.slice(-2) as [number, number];
    const w = flatBatch(wholeVectors(b, b.shape.length - 2), lead);
    const x = flatBatch(a, lead);
    // One right side for all: the batch is just more rows.
    const one = w.shape[0] === 1 && x.shape[0] === batch;
    const attrs = one ? { batch: 1, M: batch * M } : { batch, M };
    const shape = [...lead, M, t.shape.at(-1)!];
    return createTensor("gemm", shape, t.dtype, { x, w }, { ...attrs, K }, t.label);
  },
};

/** [lead..., r, c] -> [batch, r, c], or [1, r, c] where all batches share it. */
function flatBatch(t: Tensor, lead: readonly number[]): Tensor {
  const matrix = t.shape.slice(-2);
  const own = t.shape.slice(0, -2);
  if (numel(own) === 1) return reshape(t, [1, ...matrix]);
  const whole = sameShape(own, lead) ? t : expand(t, [...lead, ...matrix]);
  return reshape(whole, [numel(lead), ...matrix]);
}

const gemm: Lowering = {
  emit(t, emitter) {
    const { x, w } = t.inputs as { x: Tensor; w: Tensor };
    const { batch, M, gated } = t.attrs as { batch: number; M: number; gated?: boolean };
    const { storage, offset, pitch: xPitch } = emitter.view(x);
    const shared = (side: Tensor) => batch > 1 && side.shape[0] === 1;
    const params: Omit<GemmParams, "tile"> = {
      batch,
      M,
      N: channels(w.shape),
      K: channels(x.shape),
      xOffset: offset,
      xPitch,
      xBatch: shared(x) ? 0 : M * xPitch,
      wBatch: batch === 1 || shared(w) ? 0 : vectors(w.shape) / batch,
      gated: gated ?? false,
      ...epilogueParams(t, emitter),
    };
    const operands = { x: storage, w: emitter.read(w), ...epilogueOperands(t, emitter) };
    const product = gemmOnPlanes(params);
    const all = { ...operands, y: emitter.write(t) };
    const sharesLeft = batch > 1 && params.xBatch === 0;
    if (!sharesLeft && planesFit(product, emitter.target))
      emitPlanes(product, all, emitter, t.label);
    else emitGemm(params, all, emitter, t.label);
  },
};

/** On tiles; a long sum of few tiles in slices, which are a batch whose partial sums are added up at the end. */
function emitGemm(
  params: Omit<GemmParams, "tile">,
  operands: ProductOperands,
  emitter: Emitter,
  label: string,
): void {
  const { batch, M, N, K, gated } = params;
  const { type: dtype } = operands.y!;
  const problem = { op: "linear", dtype, batch, M, N, K, gated } as const;
  const { tile, slices } = tunedTiling(problem, params, emitter.target);
  if (slices === 1) {
    emitter.dispatch(gemmKernel, { ...params, tile }, operands, label);
    return;
  }
  const part = K / slices;
  const cut = { batch: slices, K: part, xBatch: part / 4, wBatch: part * Math.ceil(N / 4) };
  const slice: GemmParams = { ...params, ...NO_EPILOGUE, ...cut, tile };
  const y = partialSums(slices, M, N, emitter, label);
  const { x, w, ...rest } = operands;
  emitter.dispatch(gemmKernel, slice, { x, w, y }, label);
  emitter.dispatch(splitKSum, { ...params, slices }, { ...rest, x: y }, label);
}

type ProductOperands = Readonly<Record<string, Storage | undefined>>;

function partialSums(slices: number, M: number, N: number, emitter: Emitter, label: string) {
  return emitter.scratch("f32", slices * M * Math.ceil(N / 4), `${label} slices`);
}

/** Rows are the pixels of a picture one pixel high. */
function gemmOnPlanes(p: Omit<GemmParams, "tile">): PlaneProduct {
  return {
    planes: {
      batch: p.batch,
      sourceHeight: 1,
      sourceWidth: p.M,
      height: 1,
      width: p.M,
      channels: p.K,
      offset: p.xOffset,
      pitch: p.xPitch,
      outHeight: 1,
      outWidth: p.M,
      kernelWidth: 1,
      strideWidth: 1,
      top: 0,
      left: 0,
    },
    gemm: {
      ...p,
      outHeight: 1,
      outWidth: p.M,
      kernelHeight: 1,
      K: 4 * Math.ceil(p.K / 4),
      planeHeight: 1,
      strideHeight: 1,
    },
  };
}

const conv2d: Lowering = {
  rewrite(t) {
    const { x, weight, bias } = t.inputs as { x: Tensor; weight: Tensor; bias?: Tensor };
    const { stride, padding } = t.attrs as { stride: readonly number[]; padding: Padding };
    const [outChannels, inChannels, kh, kw] = weight.shape as [number, number, number, number];
    const plain = kh * kw * stride[0]! * stride[1]! === 1 && padding.every((side) => side === 0);
    if (plain && !t.attrs.upsampled) {
      const flat = linearOp(x, reshape(weight, [outChannels, inChannels]), bias);
      return { ...flat, inputs: { ...t.inputs, ...flat.inputs }, attrs: t.attrs, label: t.label };
    }
    const w = cast(wholeVectors(permute(weight, [2, 3, 1, 0]), 2), x.dtype);
    const inputs = { ...t.inputs, weight: undefined, w, bias: bias && cast(bias, "f32") };
    return createTensor("conv", t.shape, t.dtype, inputs, t.attrs, t.label);
  },
};

const conv: Lowering = {
  emit(t, emitter) {
    const { x, w } = t.inputs as { x: Tensor; w: Tensor };
    const { stride, padding } = t.attrs as { stride: [number, number]; padding: Padding };
    const [batch, sourceHeight, sourceWidth, inChannels] = x.shape as [
      number,
      number,
      number,
      number,
    ];
    const [inHeight, inWidth] = (t.attrs.upsampled as [number, number] | undefined) ?? [
      sourceHeight,
      sourceWidth,
    ];
    const [, outHeight, outWidth, outChannels] = t.shape as [number, number, number, number];
    const params: Conv2dParams = {
      batch,
      sourceHeight,
      sourceWidth,
      inHeight,
      inWidth,
      inChannels,
      outHeight,
      outWidth,
      outChannels,
      kernel: [w.shape[0]!, w.shape[1]!],
      stride,
      top: padding[0],
      left: padding[2],
      ...epilogueParams(t, emitter),
    };
    const operands = { x: emitter.read(x), w: emitter.read(w), ...epilogueOperands(t, emitter) };
    const product = convOnPlanes(params, padding);
    const all = { ...operands, y: emitter.write(t) };
    if (planesFit(product, emitter.target)) emitPlanes(product, all, emitter, t.label);
    else emitConv(params, all, emitter, t.label);
  },
};

/** As `emitGemm`. */
function emitConv(
  params: Conv2dParams,
  operands: ProductOperands,
  emitter: Emitter,
  label: string,
): void {
  const product = convProduct(params);
  const problem = { op: "conv2d", dtype: operands.y!.type, ...params } as const;
  const { tile, slices } = tunedTiling(problem, product, emitter.target);
  if (slices === 1) {
    emitter.dispatch(conv2dKernel, { ...params, tile, slices }, operands, label);
    return;
  }
  const { M, N } = product;
  const y = partialSums(slices, M, N, emitter, label);
  const slice = { ...params, ...NO_EPILOGUE, tile, slices };
  const { x, w, ...rest } = operands;
  emitter.dispatch(conv2dKernel, slice, { x, w, y }, label);
  const sum: SplitKSumParams = { ...params, slices, M, N };
  emitter.dispatch(splitKSum, sum, { ...rest, x: y }, label);
}

function convOnPlanes(p: Conv2dParams, [top, bottom]: Padding): PlaneProduct {
  const [kernelHeight, kernelWidth] = p.kernel;
  const planeHeight = p.inHeight + top + bottom;
  return {
    planes: {
      batch: p.batch,
      sourceHeight: p.sourceHeight,
      sourceWidth: p.sourceWidth,
      height: p.inHeight,
      width: p.inWidth,
      channels: p.inChannels,
      offset: 0,
      pitch: Math.ceil(p.inChannels / 4),
      outHeight: planeHeight,
      outWidth: p.outWidth,
      kernelWidth,
      strideWidth: p.stride[1],
      top,
      left: p.left,
    },
    gemm: {
      ...p,
      N: p.outChannels,
      kernelHeight,
      K: kernelWidth * 4 * Math.ceil(p.inChannels / 4),
      planeHeight,
      strideHeight: p.stride[0],
      wBatch: 0,
      gated: false,
    },
  };
}

function epilogueParams(t: Tensor, emitter: Emitter): Epilogue {
  const { activation, scale = 1 } = t.attrs as EpilogueAttrs;
  const { rowBias } = t.inputs;
  const base = { ...NO_EPILOGUE, activation: activation ?? "none", scale };
  if (!rowBias) return base;
  const { offset, pitch: rowBiasPitch } = emitter.view(rowBias);
  return {
    ...base,
    rowsPerBias: rows(t.shape) / rows(rowBias.shape),
    rowBiasPitch: rows(rowBias.shape) === 1 ? 0 : rowBiasPitch,
    rowBiasOffset: offset,
  };
}

function epilogueOperands(t: Tensor, emitter: Emitter): Record<string, Storage | undefined> {
  const { bias, rowBias, residual } = t.inputs;
  return {
    bias: bias && emitter.read(bias),
    rowBias: rowBias && emitter.view(rowBias).storage,
    residual: residual && emitter.read(residual),
  };
}

export const LINEAR = { linear, matmul, gemm, conv2d, conv };
