/** `npm run bench -- unet|vae`: a whole network of a checkpoint, and where its time goes. */
import type { Device, DType, Plan, Timing } from "../engine/index.ts";
import { WeightCache } from "../engine/index.ts";
import { numel } from "../engine/shape.ts";
import { openFolder } from "../model/folder.node.ts";
import type { Golden } from "../tools/verify/golden.ts";
import { compileStage, destroyStage, type StageOptions } from "../tools/verify/networks.ts";
import { type Measurement, measure, type RunOptions } from "./harness.ts";

export interface KernelShare {
  readonly kernel: string;
  readonly dispatches: number;
  readonly ms: number;
  readonly share: number;
  readonly flops: number;
  readonly bytes: number;
}

export interface NetworkRow extends Measurement {
  readonly network: "unet" | "vae";
  readonly dtype: DType;
  readonly batch: number;
  /** Latent pixels a side. */
  readonly side: number;
  /** By time, the dearest first; empty without `timestamp-query`. */
  readonly kernels: readonly KernelShare[];
}

export interface NetworkOptions {
  readonly dtype: DType;
  readonly quick: boolean;
  readonly runs: RunOptions;
  /** Latent pixels a side; default: the checkpoint's own. */
  readonly side?: number | undefined;
}

/** Batch 2 for the UNet, as with guidance. Throws what loading and running throw. */
export async function benchNetwork(
  device: Device,
  directory: string,
  network: "unet" | "vae",
  options: NetworkOptions,
): Promise<NetworkRow> {
  const folder = await openFolder(directory);
  const weights = new WeightCache(device);
  const { dtype } = options;
  const side = options.side ?? (options.quick ? 8 : (folder.unet.config.sampleSize?.[0] ?? 64));
  const batch = network === "unet" ? 2 : 1;
  const stage: StageOptions = { device, weights, dtype };
  const latents = wave([batch, side, side, 4]);
  const context = wave([batch, 77, folder.textEncoder.config.hiddenSize]);
  const compiled =
    network === "unet"
      ? await compileStage.unet(folder, { sample: latents, timestep: 501, context }, stage)
      : await compileStage.vae(folder, { z: latents }, stage);
  try {
    const plan = compiled.plans.at(-1)!;
    // Keys, values and time embeddings: once a picture.
    for (const before of compiled.plans) before.run();
    const measured = await measure([plan], options.runs);
    return { network, dtype, batch, side, ...measured, kernels: await shares(device, plan) };
  } finally {
    await destroyStage(compiled);
    await weights.destroy();
    await folder.close();
  }
}

async function shares(device: Device, plan: Plan): Promise<KernelShare[]> {
  if (!device.target.features.has("timestamp-query")) return [];
  const timings = await plan.profile();
  const total = timings.reduce((sum, { ms }) => sum + ms, 0);
  const names = new Set(timings.map(({ kernel }) => kernel));
  const found = [...names].map((kernel) => {
    const of = timings.filter((timing) => timing.kernel === kernel);
    const sum = (value: (timing: Timing) => number) => of.reduce((all, t) => all + value(t), 0);
    const ms = sum((t) => t.ms);
    const [flops, bytes] = [sum((t) => t.flops), sum((t) => t.bytes)];
    return { kernel, dispatches: of.length, ms, share: ms / total, flops, bytes };
  });
  return found.sort((a, b) => b.ms - a.ms);
}

/** Numbers of both signs about 1. */
export function wave(shape: readonly number[]): Golden {
  return { shape, data: Float32Array.from({ length: numel(shape) }, (_, i) => Math.sin(i * 1.7)) };
}
