/** Resizing of pictures: nearest, bilinear, bicubic. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface InterpolateParams {
  readonly batch: number;
  readonly channels: number;
  /** [height, width] of the source and of the result. */
  readonly from: readonly [number, number];
  readonly to: readonly [number, number];
  /** Source pixels for one pixel of the result, vertically and horizontally. */
  readonly scale: readonly [number, number];
  readonly mode: InterpolateMode;
  readonly alignCorners: boolean;
}

export type InterpolateMode = "nearest" | "bilinear" | "bicubic";

/** Source pixels along one axis that make one pixel. */
const TAPS = { nearest: 1, bilinear: 2, bicubic: 4 } as const;

// Big enough to fill a subgroup anywhere, small enough for little tensors.
const WORKGROUP = 64;

export const interpolate: Kernel<InterpolateParams> = {
  name: "interpolate",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: (p) => ({
    WORKGROUP,
    TAPS: TAPS[p.mode],
    ALIGN_CORNERS: p.alignCorners,
  }),
  dims: (p) => ({
    VECTORS: vectors(p),
    PITCH: Math.ceil(p.channels / 4),
    FROM_HEIGHT: p.from[0],
    FROM_WIDTH: p.from[1],
    TO_HEIGHT: p.to[0],
    TO_WIDTH: p.to[1],
    // PyTorch computes positions in f32 from a scale rounded to f32.
    SCALE_Y: { f32: Math.fround(p.scale[0]) },
    SCALE_X: { f32: Math.fround(p.scale[1]) },
  }),
  workgroups: (p) => linearGrid(vectors(p), WORKGROUP),
  flops: (p) => 2 * TAPS[p.mode] ** 2 * p.batch * p.to[0] * p.to[1] * p.channels,
};

function vectors(p: InterpolateParams): number {
  return p.batch * p.to[0] * p.to[1] * Math.ceil(p.channels / 4);
}
