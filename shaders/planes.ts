/** Channels-last to planes: what `plane-gemm` reads. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface PlanesParams {
  readonly batch: number;
  /** x as it lies; it is seen enlarged by nearest neighbours to height x width. */
  readonly sourceHeight: number;
  readonly sourceWidth: number;
  readonly height: number;
  readonly width: number;
  readonly channels: number;
  /** x: vec4s to the first element, and from pixel to pixel. */
  readonly offset: number;
  readonly pitch: number;
  /** Rows of a plane: the picture with its padding above and below. */
  readonly outHeight: number;
  /** Pixels of a row that are wanted: the result's width. */
  readonly outWidth: number;
  readonly kernelWidth: number;
  readonly strideWidth: number;
  readonly top: number;
  readonly left: number;
}

const WORKGROUP = 64;

export const planes: Kernel<PlanesParams> = {
  name: "planes",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => ({
    THREADS: planeVectors(p) / 4,
    SOURCE_H: p.sourceHeight,
    SOURCE_W: p.sourceWidth,
    H: p.height,
    W: p.width,
    C4: Math.ceil(p.channels / 4),
    OFFSET: p.offset,
    PITCH: p.pitch,
    HEIGHT: p.outHeight,
    GROUPS: Math.ceil(p.outWidth / 4),
    KW: p.kernelWidth,
    STRIDE_W: p.strideWidth,
    TOP: { i32: p.top },
    LEFT: { i32: p.left },
  }),
  workgroups: (p) => linearGrid(planeVectors(p) / 4, WORKGROUP),
  flops: () => 0,
};

/** vec4s of the result. */
export function planeVectors(p: PlanesParams): number {
  const channels = 4 * Math.ceil(p.channels / 4);
  return p.batch * p.kernelWidth * channels * p.outHeight * Math.ceil(p.outWidth / 4);
}
