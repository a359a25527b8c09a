/**
 * Products on matrix units: which ones, how their weights are packed, and their dispatches. Everything here has f16
 * on both sides and sums in f32; what does not fit stays with the kernels that need no such units.
 */
import type { Conv2dParams } from "../../shaders/conv2d.ts";
import { NO_EPILOGUE } from "../../shaders/epilogue.ts";
import type { GemmParams } from "../../shaders/gemm.ts";
import {
  chooseMatrixTiling,
  type MatrixUnit,
  PANEL,
  packedRight,
  plainRight,
} from "../../shaders/matrix.ts";
import {
  type MatrixConv2dParams,
  matrixConv2d,
  matrixConvProduct,
} from "../../shaders/matrix-conv2d.ts";
import { type MatrixGemmParams, matrixGemm } from "../../shaders/matrix-gemm.ts";
import { cast } from "../ops/elementwise.ts";
import { pad, permute, reshape } from "../ops/layout.ts";
import { channels } from "../shape.ts";
import type { Tensor } from "../tensor.ts";
import type { Emitter, Storage, Target } from "./lowering.ts";
import { emitSlices, type ProductOperands } from "./split.ts";

/** Halves in one element of the left side. */
const EIGHT = 8;

/** The units that may multiply rows of x: they are read eight halves at a time. */
export function unitFor(x: Tensor, target: Target): MatrixUnit | undefined {
  return x.dtype === "f16" && channels(x.shape) % EIGHT === 0 ? target.matrix : undefined;
}

/**
 * w [K, N] as the unit's fragments [N / n, K / k, n, k], with zeros up to whole panels and fragments. Of a gated
 * product the values' and the gates' columns are filled up each.
 */
export function packLinear(w: Tensor, unit: MatrixUnit, gated: boolean): Tensor {
  const [K, N] = w.shape as [number, number];
  const parts = gated ? 2 : 1;
  const filled = filledUp(reshape(w, [K, parts, N / parts]), [PANEL, 1, unit.n]);
  const [rows, , columns] = filled.shape as [number, number, number];
  const across = (parts * columns) / unit.n;
  const apart = reshape(filled, [rows / unit.k, unit.k, across, unit.n]);
  return cast(permute(apart, [2, 0, 3, 1]), "f16");
}

/** w [kh, kw, I, O] as fragments [O / n, I / PANEL, kh, kw, PANEL / k, n, k]. */
export function packConv(w: Tensor, unit: MatrixUnit): Tensor {
  const filled = filledUp(w, [1, 1, PANEL, unit.n]);
  const [kh, kw, I, O] = filled.shape as [number, number, number, number];
  const steps = PANEL / unit.k;
  const apart = reshape(filled, [kh, kw, I / PANEL, steps, unit.k, O / unit.n, unit.n]);
  return cast(permute(apart, [5, 2, 0, 1, 3, 6, 4]), "f16");
}

/** Zeros behind each axis up to a multiple. */
function filledUp(w: Tensor, multiples: readonly number[]): Tensor {
  const missing = w.shape.map((size, axis) => -size & (multiples[axis]! - 1));
  if (missing.every((count) => count === 0)) return w;
  return pad(
    w,
    missing.toReversed().flatMap((count) => [0, count]),
  );
}

/** Whether the unit can read w as it lies: [batch, K, N] in whole panels and fragments. */
export function readsPlain(p: Omit<GemmParams, "tile">, w: Storage, unit: MatrixUnit): boolean {
  return w.type === "f16" && p.K % PANEL === 0 && p.N % unit.n === 0 && !p.gated;
}

/** `packed` says how w lies; x starts, and its rows follow, at multiples of eight channels. */
export function emitMatrixGemm(
  p: Omit<GemmParams, "tile">,
  packed: boolean,
  unit: MatrixUnit,
  operands: ProductOperands,
  emitter: Emitter,
  label: string,
): void {
  const { tile, slices } = chooseMatrixTiling(p, unit, emitter.target);
  const pitch = Math.ceil(p.N / 4);
  const whole: MatrixGemmParams = {
    ...p,
    unit,
    tile,
    xOffset: p.xOffset / 2,
    xPitch: p.xPitch / 2,
    xBatch: p.xBatch / 2,
    wBatch: p.wBatch / 2,
    right: packed ? packedRight(unit, p.K, p.gated ? p.N / 2 : p.N) : plainRight(unit, p.N, pitch),
  };
  const kernel = matrixGemm(unit);
  if (slices === 1) {
    emitter.dispatch(kernel, whole, operands, label);
    return;
  }
  // A slice is a stretch of K: of the left side's rows, and of the fragments down.
  const K = (PANEL * Math.ceil(p.K / PANEL)) / slices;
  const wBatch = (K / unit.k) * whole.right.down;
  const cut = { batch: slices, K, xBatch: K / EIGHT, wBatch };
  emitSlices({ ...p, slices }, operands, emitter, label, (slice) =>
    emitter.dispatch(kernel, { ...whole, ...NO_EPILOGUE, ...cut }, slice, label),
  );
}

/** Weights packed by `packConv`. */
export function emitMatrixConv(
  p: Conv2dParams,
  unit: MatrixUnit,
  operands: ProductOperands,
  emitter: Emitter,
  label: string,
): void {
  const product = matrixConvProduct(p);
  const { tile, slices } = chooseMatrixTiling(product, unit, emitter.target);
  const whole: MatrixConv2dParams = { ...p, unit, tile, slices };
  const kernel = matrixConv2d(unit);
  if (slices === 1) {
    emitter.dispatch(kernel, whole, operands, label);
    return;
  }
  emitSlices({ ...p, slices, M: product.M, N: product.N }, operands, emitter, label, (slice) =>
    emitter.dispatch(kernel, { ...whole, ...NO_EPILOGUE }, slice, label),
  );
}
