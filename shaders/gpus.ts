/**
 * What a GPU is taken to be before anything was measured on it, by the vendor's name as WebGPU gives it. WebGPU does
 * not tell how many cores there are: each is a larger GPU of its vendor. One of fewer cores fills earlier, and loses
 * little by a tile that is smaller than it might be.
 */
export interface GpuShape {
  /** What runs workgroups beside each other: multiprocessors, compute units, Xe cores. */
  readonly cores: number;
  /** Of a core, each with so many lanes. */
  readonly schedulers: number;
  readonly lanes: number;
  /** Clocks of one more dispatch and its way through memory: about 5 µs on a card of its own. */
  readonly dispatchClocks: number;
}

/** An H100 has 132 multiprocessors, an RTX 4090 128. */
export const DEFAULT_SHAPE: GpuShape = {
  cores: 132,
  schedulers: 4,
  lanes: 32,
  dispatchClocks: 8500,
};

/** From the vendors' data sheets; what is not listed is taken for the default. */
export const GPU_SHAPES: Readonly<Record<string, GpuShape>> = {
  nvidia: DEFAULT_SHAPE,
  // RX 7800 XT: 60 compute units of two 32-wide SIMDs.
  amd: { cores: 60, schedulers: 2, lanes: 32, dispatchClocks: 10_000 },
  // M2 Pro, M3 Max: 19 to 40 cores of four 32-wide pipes.
  apple: { cores: 30, schedulers: 4, lanes: 32, dispatchClocks: 12_000 },
  // Arc B580: 20 Xe cores of eight 16-wide engines.
  intel: { cores: 20, schedulers: 8, lanes: 16, dispatchClocks: 15_000 },
  // Adreno X1: 6 shader processors, waves of 128 on two pipes.
  qualcomm: { cores: 6, schedulers: 2, lanes: 128, dispatchClocks: 15_000 },
  // Immortalis G720: 12 cores of four 16-wide engines, twice.
  arm: { cores: 12, schedulers: 8, lanes: 16, dispatchClocks: 15_000 },
};

export function shapeOf(vendor: string): GpuShape {
  return GPU_SHAPES[vendor.toLowerCase()] ?? DEFAULT_SHAPE;
}
