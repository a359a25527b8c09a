/** How rows are shared out among threads, for kernels that reduce along the last axis. */
import { type Dims, type Grid, linearGrid } from "./kernel.ts";

export interface RowParams {
  readonly rows: number;
  readonly channels: number;
}

// WebGPU's default limit, and all that SwiftShader has; long rows want many loads in flight.
const LONG_WORKGROUP = 256;
const WORKGROUP = 64;

/** Up to this many vec4s a thread is done with a row before a workgroup would have met at its barriers. */
const SHORT_PITCH = 8;
const LONG_PITCH = 1024;

/** Threads in a workgroup, and how many of them share a row. */
export function rowThreads(channels: number): { WORKGROUP: number; LANES: number } {
  const pitch = Math.ceil(channels / 4);
  if (pitch <= SHORT_PITCH) return { WORKGROUP, LANES: 1 };
  if (pitch < LONG_PITCH) return { WORKGROUP, LANES: WORKGROUP };
  return { WORKGROUP: LONG_WORKGROUP, LANES: LONG_WORKGROUP };
}

export function rowDims({ rows, channels }: RowParams): Dims {
  return { ROWS: rows, CHANNELS: channels, PITCH: Math.ceil(channels / 4) };
}

export function rowGrid({ rows, channels }: RowParams): Grid {
  const { WORKGROUP, LANES } = rowThreads(channels);
  return linearGrid(rows * LANES, WORKGROUP);
}
