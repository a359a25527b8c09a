/** Functions of one element: activations, and arithmetic with a constant. */
import { type Kernel, linearGrid } from "./kernel.ts";

/** The order is that of the cases in unary.wgsl. */
export const UNARY_FUNCTIONS = [
  "silu",
  "gelu",
  "gelu_tanh",
  "gelu_quick",
  "sigmoid",
  "relu",
  "scalar_add",
  "scalar_sub",
  "scalar_mul",
  "scalar_div",
] as const;

export type UnaryKernelFunction = (typeof UNARY_FUNCTIONS)[number];

export interface UnaryParams {
  readonly rows: number;
  readonly channels: number;
  readonly fn: UnaryKernelFunction;
  readonly scalar: number;
}

// Big enough to fill a subgroup anywhere, small enough for little tensors.
const WORKGROUP = 64;

/** About what the polynomials and the exponential come to. */
const FLOPS_EACH = 10;

export const unary: Kernel<UnaryParams> = {
  name: "unary",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid", "lanes", "activation"],
  constants: ({ fn }) => ({ WORKGROUP, FUNCTION: UNARY_FUNCTIONS.indexOf(fn) }),
  dims: ({ rows, channels, scalar }) => ({
    VECTORS: rows * Math.ceil(channels / 4),
    PITCH: Math.ceil(channels / 4),
    CHANNELS: channels,
    SCALAR: { f32: scalar },
  }),
  workgroups: ({ rows, channels }) => linearGrid(rows * Math.ceil(channels / 4), WORKGROUP),
  flops: ({ rows, channels, fn }) => rows * channels * (fn.startsWith("scalar") ? 1 : FLOPS_EACH),
};
