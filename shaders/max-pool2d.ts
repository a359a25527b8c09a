/** The largest value in each window of a picture. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface MaxPool2dParams {
  readonly batch: number;
  readonly channels: number;
  /** [height, width] of the source and of the result. */
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  /** Rows and columns in front of the picture's first; fewer than the kernel has. */
  readonly top: number;
  readonly left: number;
}

// Big enough to fill a subgroup anywhere, small enough for little tensors.
const WORKGROUP = 64;

export const maxPool2d: Kernel<MaxPool2dParams> = {
  name: "max-pool2d",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => ({
    VECTORS: vectors(p),
    PITCH: Math.ceil(p.channels / 4),
    FROM_HEIGHT: p.from[0],
    FROM_WIDTH: p.from[1],
    TO_HEIGHT: p.to[0],
    TO_WIDTH: p.to[1],
    KERNEL_Y: p.kernel[0],
    KERNEL_X: p.kernel[1],
    STRIDE_Y: p.stride[0],
    STRIDE_X: p.stride[1],
    TOP: p.top,
    LEFT: p.left,
  }),
  workgroups: (p) => linearGrid(vectors(p), WORKGROUP),
  flops: (p) => p.kernel[0] * p.kernel[1] * p.batch * p.to[0] * p.to[1] * p.channels,
};

function vectors(p: MaxPool2dParams): number {
  return p.batch * p.to[0] * p.to[1] * Math.ceil(p.channels / 4);
}
