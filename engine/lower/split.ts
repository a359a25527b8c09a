/** A long sum in slices: partial sums in f32, then their sum with the epilogue. */
import type { Epilogue } from "../../shaders/epilogue.ts";
import { splitKSum } from "../../shaders/split-k-sum.ts";
import type { Emitter, Storage } from "./lowering.ts";

/** Of gemm and conv2d: x, w, what the epilogue wants, y. */
export type ProductOperands = Readonly<Record<string, Storage | undefined>>;

export interface SplitSum extends Epilogue {
  readonly slices: number;
  readonly M: number;
  readonly N: number;
}

/** `slice` dispatches the product without its epilogue into partial sums, [slices, M, N]. */
export function emitSlices(
  { slices, M, N, ...epilogue }: SplitSum,
  operands: ProductOperands,
  emitter: Emitter,
  label: string,
  slice: (operands: ProductOperands) => void,
): void {
  const y = emitter.scratch("f32", slices * M * Math.ceil(N / 4), `${label} slices`);
  const { x, w, ...rest } = operands;
  slice({ x, w, y });
  emitter.dispatch(splitKSum, { ...epilogue, slices, M, N }, { ...rest, x: y }, label);
}
