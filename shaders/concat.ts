/** Two tensors joined along an axis. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface ConcatParams {
  /** Product of the axes in front of the joined one. */
  readonly outer: number;
  /** Channels of one row of a, of b and of the result; equal unless the last axis is joined. */
  readonly channelsA: number;
  readonly channelsB: number;
  readonly channels: number;
  /** Rows of a and b for one index of the outer axes (1 if the last axis is joined). */
  readonly rowsA: number;
  readonly rowsB: number;
}

// Big enough to fill a subgroup anywhere, small enough for little tensors.
const WORKGROUP = 64;

export const concat: Kernel<ConcatParams> = {
  name: "concat",
  operands: [
    { name: "a", access: "read" },
    { name: "b", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: (p) => ({
    WORKGROUP,
    WHOLE: joinsRows(p) || p.channelsA % 4 === 0,
  }),
  dims: (p) => ({
    VECTORS: vectors(p),
    PIECE_A: p.rowsA * Math.ceil(p.channelsA / 4),
    PIECE_B: p.rowsB * Math.ceil(p.channelsB / 4),
    PITCH: Math.ceil(p.channels / 4),
    CHANNELS_A: p.channelsA,
    CHANNELS: p.channels,
  }),
  workgroups: (p) => linearGrid(vectors(p), WORKGROUP),
  flops: () => 0,
};

function joinsRows(p: ConcatParams): boolean {
  return p.channels === p.channelsA;
}

function vectors(p: ConcatParams): number {
  const rows = joinsRows(p) ? p.rowsA + p.rowsB : 1;
  return p.outer * rows * Math.ceil(p.channels / 4);
}
