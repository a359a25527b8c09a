/** `npm run bench -- growth`: how time and memory grow with the latents' size, the batch and the steps. */
import { type Device, openDevice, WeightCache } from "../engine/index.ts";
import { type UnetConfig, unetConfig } from "../model/config.ts";
import { expectedUnet } from "../model/expected.ts";
import { StableDiffusion } from "../model/index.ts";
import { compileStage, destroyStage } from "../tools/verify/networks.ts";
import type { Budget } from "./budget.ts";
import { measure } from "./harness.ts";
import { wave } from "./networks.ts";
import { randomWeights } from "./random-weights.ts";
import { sd2Configs } from "./sd2.ts";
import type { Spread } from "./stats.ts";

export interface GrowthRow {
  /** What grows in its group: the others stay. */
  readonly group: "latents" | "batch" | "steps";
  readonly channels: readonly number[];
  readonly side: number;
  readonly batch: number;
  readonly steps: number;
  readonly runs: number;
  readonly ms: Spread | null;
  readonly cpuMs: Spread | null;
  readonly gflop: number;
  /** What all dispatches must move at the least. */
  readonly movedMb: number;
  /** Buffers for activations. */
  readonly activationMb: number;
}

/** The full network takes minutes on a CPU that plays a GPU: there a tenth of its channels, in as many heads. */
const NARROW = { block_out_channels: [32, 64, 128, 128], attention_head_dim: [1, 2, 4, 4] };

const SIDES = [32, 64, 96, 128];
const BATCHES = [1, 2, 4];
const STEPS = [5, 10, 20];

export interface GrowthOptions {
  readonly quick: boolean;
  readonly budget: Budget;
  /** For the steps: a checkpoint's folder. */
  readonly model: string;
  readonly tell: (row: GrowthRow) => void;
}

export async function benchGrowth(options: GrowthOptions): Promise<GrowthRow[]> {
  const { quick, budget, tell } = options;
  const sides = quick ? SIDES.slice(0, 2) : SIDES;
  const batches = quick ? BATCHES.slice(0, 2) : BATCHES;
  const points = [
    ...sides.map((side) => ({ group: "latents", side, batch: 1 }) as const),
    ...batches.map((batch) => ({ group: "batch", side: SIDES[0]!, batch }) as const),
  ];
  const rows: GrowthRow[] = [];
  for (const [i, point] of points.entries()) {
    const options = budget.next(points.length + STEPS.length - i);
    const device = await openDevice();
    const row = await evaluation(device, point, options);
    rows.push(row);
    tell(row);
    device.destroy();
  }
  return [...rows, ...(await loop(options))];
}

/** One UNet evaluation, as a step of a picture runs it. */
async function evaluation(
  device: Device,
  { group, side, batch }: Pick<GrowthRow, "group" | "side" | "batch">,
  options: Parameters<typeof measure>[1],
): Promise<GrowthRow> {
  const config = growthConfig(device);
  const weights = new WeightCache(device);
  const unet = { config, tensors: async () => randomWeights(expectedUnet(config)) };
  const inputs = {
    sample: wave([batch, side, side, 4]),
    timestep: 501,
    context: wave([batch, 77, config.crossAttentionDim[0]!]),
  };
  const stage = await compileStage.unet({ unet }, inputs, { device, weights, dtype: "f32" });
  try {
    const step = stage.plans.at(-1)!;
    for (const plan of stage.plans) plan.run();
    const { runs, ms, cpuMs, flops, bytes } = await measure([step], options);
    return {
      ...{ group, side, batch, steps: 1, runs, ms, cpuMs, channels: config.blockOutChannels },
      ...{ gflop: flops / 1e9, movedMb: bytes / 1e6, activationMb: step.ownBytes / 1e6 },
    };
  } finally {
    await destroyStage(stage);
    await weights.destroy();
  }
}

function growthConfig(device: Device): UnetConfig {
  const { unet } = sd2Configs();
  return unetConfig(device.target.software ? { ...(unet as object), ...NARROW } : unet);
}

/** The denoising loop of a checkpoint for several numbers of steps; nothing but the number changes. */
async function loop({ quick, model, tell }: GrowthOptions): Promise<GrowthRow[]> {
  const device = await openDevice();
  await using sd = await StableDiffusion.fromPretrained(model, { device, dtype: "f32" });
  const rows: GrowthRow[] = [];
  const paint = (steps: number) =>
    sd.generate({ prompt: "a red circle", scheduler: "ddim", steps, seed: 1 });
  await paint(2);
  for (const steps of quick ? STEPS.slice(0, 1) : STEPS) {
    const before = process.cpuUsage();
    const { images, timings } = await paint(steps);
    const { user, system } = process.cpuUsage(before);
    const one = (ms: number) => ({ median: ms, p10: ms, p90: ms });
    const row: GrowthRow = {
      ...{ group: "steps", channels: [], side: images[0]!.width, batch: 1, steps, runs: 1 },
      ms: one(timings.steps!),
      cpuMs: device.target.software ? one((user + system) / 1000) : null,
      ...{ gflop: Number.NaN, movedMb: Number.NaN, activationMb: Number.NaN },
    };
    rows.push(row);
    tell(row);
  }
  return rows;
}
