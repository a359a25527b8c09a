/** Rows of a table, or of a piece of a table that is too large for one binding. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface EmbeddingParams {
  readonly ids: number;
  readonly channels: number;
  /** The table's rows that are here: first .. first + entries - 1. */
  readonly first: number;
  readonly entries: number;
  /** Last axis of the ids, for their padding. */
  readonly idChannels: number;
}

// Big enough to fill a subgroup anywhere, small enough for little tensors.
const WORKGROUP = 64;

export const embedding: Kernel<EmbeddingParams> = {
  name: "embedding",
  operands: [
    { name: "ids", access: "read" },
    { name: "weight", access: "read" },
    { name: "previous", access: "read", optional: true },
    { name: "y", access: "write" },
  ],
  lib: ["grid"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => ({
    VECTORS: p.ids * Math.ceil(p.channels / 4),
    PITCH: Math.ceil(p.channels / 4),
    FIRST: { i32: p.first },
    ENTRIES: { i32: p.entries },
    ID_CHANNELS: p.idChannels,
    ID_STRIDE: 4 * Math.ceil(p.idChannels / 4),
  }),
  workgroups: (p) => linearGrid(p.ids * Math.ceil(p.channels / 4), WORKGROUP),
  flops: () => 0,
  // Only the rows that are asked for are moved, not the table.
  bytes: (p) => 8 * p.ids * p.channels,
};
