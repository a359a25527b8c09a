/** What a device can do at the most, measured on it: the roofline that kernels are held against. */
import { availableParallelism } from "node:os";
import type { Device } from "../engine/index.ts";
import { timed } from "./clock.ts";
import { type RunOptions, repeat } from "./harness.ts";
import { COPY, multiplyAdds } from "./peaks-text.ts";

/** The best seen, in units a second; `byCpu` as if all cores were free (a software adapter only). */
export interface Peak {
  readonly rate: number;
  readonly byCpu: number | null;
}

export interface Peaks {
  /** Bytes read and written. */
  readonly copy: Peak;
  /** FLOPs of multiply-adds on vectors of four. */
  readonly f32: Peak;
  /** Absent without `shader-f16`. */
  readonly f16: Peak | null;
}

const COPY_BYTES = 2 ** 27;
const ROUNDS = 1024;
const THREADS = 2 ** 16;
/** Few chains wait for each other, many do not fit into the registers: the best one counts. */
const CHAINS = [1, 2, 4, 8];

/** Throws GPU_VALIDATION if the device refuses the shaders. */
export async function measurePeaks(device: Device, options: RunOptions): Promise<Peaks> {
  const bytes = Math.min(COPY_BYTES, device.target.maxBindingSize);
  const groups = Math.ceil(bytes / 16 / 256);
  const rows = Math.ceil(groups / 65_535);
  const copy = await peak(device, COPY, bytes, [Math.ceil(groups / rows), rows], options);
  const hasF16 = device.target.features.has("shader-f16");
  return {
    copy: times(copy, 2 * bytes),
    f32: await multiplierPeak(device, "f32", options),
    f16: hasF16 ? await multiplierPeak(device, "f16", options) : null,
  };
}

async function multiplierPeak(
  device: Device,
  type: "f32" | "f16",
  options: RunOptions,
): Promise<Peak> {
  const found: Peak[] = [];
  for (const chains of CHAINS) {
    const code = multiplyAdds(type, chains, ROUNDS);
    const rate = await peak(device, code, 4 * THREADS, [THREADS / 64, 1], options);
    found.push(times(rate, 2 * 4 * chains * ROUNDS * THREADS));
  }
  return found.reduce((a, b) => ((b.byCpu ?? b.rate) > (a.byCpu ?? a.rate) ? b : a));
}

function times({ rate, byCpu }: Peak, factor: number): Peak {
  return { rate: rate * factor, byCpu: byCpu === null ? null : byCpu * factor };
}

/** Dispatches a second. */
async function peak(
  device: Device,
  code: string,
  bytes: number,
  groups: readonly [number, number],
  options: RunOptions,
): Promise<Peak> {
  const buffers = ["x", "y"].map((name) => device.createBuffer(name, bytes));
  const module = device.gpu.createShaderModule({ code });
  const pipeline = await device.gpu.createComputePipelineAsync({
    layout: "auto",
    compute: { module },
  });
  const bindGroup = device.gpu.createBindGroup({
    layout: pipeline.getBindGroupLayout(0),
    entries: buffers.map((buffer, binding) => ({ binding, resource: { buffer } })),
  });
  device.gpu.queue.writeBuffer(buffers[0]!, 0, new Float32Array([0.999, 0.001]));
  const run = (count: number) =>
    timed(async () => {
      const encoder = device.gpu.createCommandEncoder();
      const pass = encoder.beginComputePass();
      pass.setPipeline(pipeline);
      pass.setBindGroup(0, bindGroup);
      for (let i = 0; i < count; i++) pass.dispatchWorkgroups(...groups);
      pass.end();
      device.gpu.queue.submit([encoder.finish()]);
      await device.gpu.queue.onSubmittedWorkDone();
      device.check();
    });
  let count = 1;
  await run(count);
  while ((await run(count)).wallMs < LONG_MS) count *= 2;
  const found = await repeat(options, () => run(count));
  for (const buffer of buffers) device.destroyBuffer(buffer);
  const least = (values: number[]) => (1000 * count) / Math.min(...values);
  const byCpu = least(found.map(({ cpuMs }) => cpuMs / availableParallelism()));
  return {
    rate: least(found.map(({ wallMs }) => wallMs)),
    byCpu: device.target.software ? byCpu : null,
  };
}

/** So long that submitting does not show. */
const LONG_MS = 50;

/**
 * The share of the roofline that was reached: the time that memory or multipliers must take at the least, over
 * the time that it took. Sums are f32 in every kernel, so f32 is the bound for both dtypes.
 */
export function roofline(
  work: { readonly flops: number; readonly bytes: number },
  ms: number,
  peaks: Peaks,
  by: "rate" | "byCpu" = "rate",
): number {
  const [copy, fma] = [peaks.copy[by], peaks.f32[by]];
  if (copy === null || fma === null) return Number.NaN;
  return (1000 * Math.max(work.bytes / copy, work.flops / fma)) / ms;
}

/** In GB/s and GFLOP/s: by CPU time on a software adapter, else by the clock. */
export function peaksOf({ copy, f32, f16 }: Peaks): {
  bandwidth: number;
  f32: number;
  f16: number | null;
} {
  const of = ({ rate, byCpu }: Peak) => (byCpu ?? rate) / 1e9;
  return { bandwidth: of(copy), f32: of(f32), f16: f16 && of(f16) };
}
