/** Lowering of matrix products and convolutions: weights are packed [.., in, out], then gemm or conv2d. */
import { type Conv2dParams, conv2d as conv2dKernel, convProduct } from "../../shaders/conv2d.ts";
import { type Activation, type Epilogue, NO_EPILOGUE } from "../../shaders/epilogue.ts";
import { type GemmParams, gemm as gemmKernel, tileMeasures } from "../../shaders/gemm.ts";
import { rowMoments } from "../../shaders/row-moments.ts";
import { type SplitKSumParams, splitKSum } from "../../shaders/split-k-sum.ts";
import { type Tile, tileColumns } from "../../shaders/tile.ts";
import { withInputs } from "../graph.ts";
import type { Padding } from "../ops/conv2d.ts";
import { add, cast, mul } from "../ops/elementwise.ts";
import { concat, expand, pad, permute, reshape, transpose } from "../ops/layout.ts";
import { linear as linearOp } from "../ops/linear.ts";
import { layerNorm } from "../ops/norm.ts";
import { mean } from "../ops/reduce.ts";
import { channels, numel, rows, sameShape, vectors } from "../shape.ts";
import { createTensor, type Tensor } from "../tensor.ts";
import type { Emitter, Lowering, RowMoments, Storage } from "./lowering.ts";
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
  rewrite(t, target) {
    if (t.attrs.normEps !== undefined && target.software) return normFirst(t);
    const { gamma: _, beta: __, weight, bias, ...inputs } = t.inputs;
    const { x } = inputs as { x: Tensor };
    const sides = t.attrs.normEps === undefined ? { weight: weight!, bias } : normedSides(t);
    const w = cast(wholeVectors(transpose(sides.weight, 0, 1), 0), x.dtype);
    return createTensor(
      "gemm",
      t.shape,
      t.dtype,
      { ...inputs, w, bias: sides.bias && cast(sides.bias, "f32") },
      { ...t.attrs, batch: 1, M: rows(x.shape) },
      t.label,
    );
  },
};

/** The layer norm that fusion took into t as an op of its own again: planes have no place for it. */
function normFirst(t: Tensor): Tensor {
  const { x, gamma, beta, ...inputs } = t.inputs as { x: Tensor; gamma?: Tensor; beta?: Tensor };
  const { normEps, ...attrs } = t.attrs;
  const normed = layerNorm(x, [channels(x.shape)], gamma, beta, normEps as number);
  return withInputs(t, { ...inputs, x: normed }, attrs);
}

/**
 * ((x - mean) / σ · γ + β)·Wᵀ = (x·w - mean · Σ w) / σ + W·β with w = γ·Wᵀ: weight [N, K] is w as it is stored,
 * bias [2, N] what is left of the bias, and the sums of w over K.
 */
function normedSides({ inputs }: Tensor): { weight: Tensor; bias: Tensor } {
  const { x, weight, bias, gamma, beta } = inputs as Record<string, Tensor>;
  const whole = cast(weight!, "f32");
  const sum = (rows: Tensor) => mul(mean(rows, 1), rows.shape[1]!);
  const w = cast(gamma ? mul(whole, cast(gamma, "f32")) : whole, x!.dtype);
  const sums = sum(cast(w, "f32"));
  const moved = beta ? sum(mul(whole, cast(beta, "f32"))) : mul(sums, 0);
  const added = bias ? add(moved, cast(bias, "f32")) : moved;
  const row = (t: Tensor) => reshape(t, [1, t.shape[0]!]);
  return { weight: w, bias: concat([row(added), row(sums)], 0) };
}

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
    const norm = rowNorm(t, emitter);
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
      ...(norm && { normed: true, norm: norm.params }),
      ...epilogueParams(t, emitter),
    };
    const operands = { x: storage, w: emitter.read(w), ...epilogueOperands(t, emitter) };
    const product = gemmOnPlanes(params);
    const all = { ...operands, moments: norm?.moments, y: emitter.write(t) };
    const sharesLeft = batch > 1 && params.xBatch === 0;
    if (!sharesLeft && planesFit(product, emitter.target))
      emitPlanes(product, all, emitter, t.label);
    else emitGemm(t, params, all, emitter);
  },
};

/** Where x is normalised as it is multiplied: by the moments that its own product left, or by those of a dispatch. */
function rowNorm({ inputs, attrs, label }: Tensor, emitter: Emitter) {
  if (attrs.normEps === undefined) return undefined;
  const x = inputs.x!;
  const { storage, pieces, width } = emitter.left(x) ?? emitRowMoments(x, emitter, label);
  return { moments: storage, params: { eps: attrs.normEps as number, pieces, width } };
}

function emitRowMoments(x: Tensor, emitter: Emitter, label: string): RowMoments {
  const { storage, offset, pitch } = emitter.view(x);
  const params = { rows: rows(x.shape), channels: channels(x.shape), offset, pitch };
  const y = momentsOf(params.rows, 1, emitter, label);
  emitter.dispatch(rowMoments, params, { x: storage, y }, label);
  return { storage: y, pieces: 1, width: Math.ceil(params.channels / 4) };
}

function momentsOf(rows: number, pieces: number, emitter: Emitter, label: string): Storage {
  return emitter.scratch("f32", 2 * pieces * Math.ceil(rows / 4), `${label} row moments`);
}

/** On tiles; a long sum of few tiles in slices, which are a batch whose partial sums are added up at the end. */
function emitGemm(
  t: Tensor,
  params: Omit<GemmParams, "tile">,
  operands: ProductOperands,
  emitter: Emitter,
): void {
  const { label } = t;
  const { batch, M, N, K, gated } = params;
  const { type: dtype } = operands.y!;
  const problem = { op: "linear", dtype, batch, M, N, K, gated } as const;
  const { tile, slices } = tunedTiling(problem, params, emitter.target);
  if (slices === 1) {
    const rowMoments = leaveMoments(t, params, tile, emitter);
    const measured = rowMoments !== undefined;
    emitter.dispatch(gemmKernel, { ...params, tile, measured }, { ...operands, rowMoments }, label);
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

/** Room for the moments of the rows of t, if somebody wants them and the tiles can tell. */
function leaveMoments(
  t: Tensor,
  { batch, gated, M, N }: Omit<GemmParams, "tile">,
  tile: Tile,
  emitter: Emitter,
): Storage | undefined {
  const able = batch === 1 && !gated && tileMeasures(tile);
  if (!able || !emitter.normalizedLater(t)) return undefined;
  const width = tileColumns(tile) / 4;
  const pieces = Math.ceil(N / 4 / width);
  const storage = momentsOf(M, pieces, emitter, t.label);
  emitter.leave(t, { storage, pieces, width });
  return storage;
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
