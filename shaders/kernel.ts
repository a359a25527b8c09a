/**
 * What a kernel is: a declaration, not code. The arithmetic is `<name>.wgsl` beside it; this says
 * how to specialise the text, how many workgroups to start and what one run costs. No GPU object
 * appears in this folder, so everything here is testable without a GPU.
 */
export interface Kernel<P> {
  /** Stem of the .wgsl file, and the name in profiles and plan dumps. */
  readonly name: string;
  /** In binding order. The accessors `loadX`, `elementX`, `storeY` are generated from these. */
  readonly operands: readonly OperandSpec[];
  /** Fragments of `shaders/lib/` that the text uses. */
  readonly lib?: readonly string[];
  /** WGSL `enable` extensions, and so device features, that the text needs. */
  readonly enables?: readonly string[];
  /** Values that become WGSL `const` lines in front of the file: flags, and sizes of arrays and groups. */
  constants(params: P): Constants;
  /**
   * Sizes that only steer loops and addresses; the text reads them as `dims.NAME`. On a GPU they are baked
   * in as constants too; a software adapter, where one compilation costs a second, gets them as a uniform,
   * so that one pipeline serves all shapes.
   */
  dims?(params: P): Dims;
  workgroups(params: P): Grid;
  /** Floating-point operations of one run (a fused multiply-add counts two). */
  flops(params: P): number;
  /** Bytes that one run must move at the least, where that is not simply every operand once. */
  bytes?(params: P): number;
}

export interface OperandSpec {
  readonly name: string;
  readonly access: "read" | "write";
  /** An absent operand loses its binding line; its loads return zero, its stores do nothing. */
  readonly optional?: true;
}

/** An integer becomes `u32`, a boolean `bool`, a list `array<u32, n>`; other types are spelt out. */
export type ConstantValue =
  | number
  | boolean
  | readonly number[]
  | { readonly f32: number }
  | { readonly i32: number | readonly number[] };
export type Dims = Readonly<
  Record<string, number | { readonly i32: number } | { readonly f32: number }>
>;
export type Constants = Readonly<Record<string, ConstantValue>>;
export type Grid = readonly [x: number, y: number, z: number];

/** How an operand's values lie in memory: four consecutive channels are one array element. */
export type StorageType = "f32" | "f16" | "bf16" | "i32";

/** A kernel's parameters are erased where kernels of all kinds meet. */
// biome-ignore lint/suspicious/noExplicitAny: params of different kernels share no type
export type AnyKernel = Kernel<any>;

/** WebGPU allows 65,535 workgroups a dimension; more are folded into y (see `lib/grid.wgsl`). */
const MAX_WORKGROUPS = 65_535;

/** A one-dimensional grid of at least `count` threads for a kernel that calls `threadIndex()`. */
export function linearGrid(count: number, workgroup: number): Grid {
  const groups = Math.max(1, Math.ceil(count / workgroup));
  const y = Math.ceil(groups / MAX_WORKGROUPS);
  return [Math.ceil(groups / y), y, 1];
}
