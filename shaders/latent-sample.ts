/** A sample of a diagonal Gaussian given by its mean and log variance (Kingma and Welling 2014), scaled. */
import { type Kernel, linearGrid } from "./kernel.ts";

export interface LatentSampleParams {
  readonly pixels: number;
  /** Of a sample; the moments have twice as many. */
  readonly channels: number;
  readonly scale: number;
}

const WORKGROUP = 64;

export const latentSample: Kernel<LatentSampleParams> = {
  name: "latent-sample",
  operands: [
    { name: "moments", access: "read" },
    { name: "noise", access: "read" },
    { name: "y", access: "write" },
  ],
  lib: ["grid", "lanes"],
  constants: () => ({ WORKGROUP }),
  dims: (p) => ({
    PIXELS: p.pixels,
    CHANNELS: p.channels,
    PITCH: Math.ceil(p.channels / 4),
    MOMENTS_PITCH: Math.ceil((2 * p.channels) / 4),
    SCALE: { f32: p.scale },
  }),
  workgroups: (p) => linearGrid(p.pixels, WORKGROUP),
  flops: (p) => 8 * p.pixels * p.channels,
};
