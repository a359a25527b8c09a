/** The products' form for software adapters: the picture as planes first, then plane-gemm. */
import { type PlaneGemmParams, planeGemm } from "../../shaders/plane-gemm.ts";
import { type PlanesParams, planes, planeVectors } from "../../shaders/planes.ts";
import { BYTES } from "../dtype.ts";
import type { Emitter, Storage, Target } from "./lowering.ts";

export interface PlaneProduct {
  readonly planes: PlanesParams;
  readonly gemm: PlaneGemmParams;
}

const MAX_GROUPS = 65_535;

/** Whether the planes and the grid are within the limits, and halves of a gated product whole vectors. */
export function planesFit({ planes, gemm }: PlaneProduct, target: Target): boolean {
  const groups = gemm.outHeight * Math.ceil(gemm.outWidth / 4);
  return (
    target.software &&
    planeVectors(planes) * 4 * BYTES.f32 <= target.maxBindingSize &&
    groups <= 2 * MAX_GROUPS &&
    gemm.batch <= MAX_GROUPS &&
    (!gemm.gated || gemm.N % 16 === 0)
  );
}

/** `operands` are those of gemm, x as it lies; the planes are f32, so that halves are unpacked once. */
export function emitPlanes(
  product: PlaneProduct,
  operands: Readonly<Record<string, Storage | undefined>>,
  emitter: Emitter,
  label: string,
): void {
  const x = emitter.scratch("f32", planeVectors(product.planes), `${label} planes`);
  emitter.dispatch(planes, product.planes, { x: operands.x, y: x }, label);
  emitter.dispatch(planeGemm, product.gemm, { ...operands, x }, label);
}
