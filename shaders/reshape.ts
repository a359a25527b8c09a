/** Row-major reinterpretation, for last axes whose padding differs (others cost nothing at all). */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface ReshapeParams {
  /** Size of the source's last axis, and the scalars from row to row (equal if the source has no padding). */
  readonly from: number;
  readonly fromStride: number;
  readonly to: number;
  readonly rows: number;
}

const WORKGROUP = 64;

export const reshape: Kernel<ReshapeParams> = {
  name: "reshape",
  operands: [
    { name: "x", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => ({
    FROM: p.from,
    FROM_STRIDE: p.fromStride,
    TO: p.to,
    TO_PITCH: Math.ceil(p.to / 4),
    VECTORS: p.rows * Math.ceil(p.to / 4),
  }),
  workgroups: (p) => linearGrid(p.rows * Math.ceil(p.to / 4), WORKGROUP),
  flops: () => 0,
};
