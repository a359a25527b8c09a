/**
 * Stable Diffusion 2 at its full size, network by network, against PyTorch: what
 * `tools/reference/full_size.py DIR` wrote. Weights are random, sizes and arithmetic are the model's own.
 */
import { join } from "node:path";
import { type Device, openDevice, WeightCache } from "../engine/index.ts";
import { type ModelFolder, openFolder } from "../model/folder.node.ts";
import { maxError, rmsError } from "../tools/verify/compare.ts";
import { type Golden, readGolden } from "../tools/verify/golden.ts";
import { watchMemory } from "../tools/verify/host-memory.ts";
import {
  type CompiledStage,
  compileStage,
  destroyStage,
  runStage,
  type Stage,
  type StageInputs,
  type StageOptions,
} from "../tools/verify/networks.ts";
import { timed } from "./clock.ts";
import { saveResult } from "./results.ts";

export interface FullSizeOptions {
  readonly stages: readonly Stage[];
  readonly dtypes: readonly ("f32" | "f16")[];
  /** Latent pixels a side: what the golden file has (8, 16). */
  readonly side: number;
}

export interface FullSizeRow {
  readonly stage: Stage;
  readonly dtype: "f32" | "f16";
  /** Latent pixels a side; the text encoder has none. */
  readonly side: number | null;
  /** max|Δ| / max|reference| and rms(Δ) / rms(reference), against PyTorch in f32 on the same f16 weights. */
  readonly maxError: number;
  readonly rmsError: number;
  readonly loadMs: number;
  readonly firstRunMs: number;
  readonly runMs: number;
  readonly runCpuMs: number;
  readonly hostPeakBytes: number;
  readonly hostBeforeBytes: number;
  readonly largestReadBytes: number;
  readonly weightBytes: number;
  readonly activationBytes: number;
  readonly dispatches: number;
  readonly flops: number;
}

/** Measures network by network and saves each as it is done. Throws what loading and running throw. */
export async function benchFullSize(directory: string, options: FullSizeOptions): Promise<void> {
  const folder = await openFolder(directory);
  const golden = await readGolden(join(directory, "golden.safetensors"));
  try {
    for (const dtype of options.dtypes) {
      for (const stage of options.stages) {
        const device = await openDevice();
        const row = await measure(device, folder, golden, stage, dtype, options.side);
        const name = [`full-${stage}`, ...(row.side === null ? [] : [row.side]), dtype].join("-");
        saveResult(name, device, row);
        console.log(JSON.stringify(row));
        device.destroy();
      }
    }
  } finally {
    await folder.close();
  }
}

type GoldenReader = (name: string) => Golden;

async function measure(
  device: Device,
  folder: ModelFolder,
  golden: GoldenReader,
  stage: Stage,
  dtype: "f32" | "f16",
  side: number,
): Promise<FullSizeRow> {
  const weights = new WeightCache(device);
  let largestReadBytes = 0;
  const { value: load, memory } = await watchMemory((look) => {
    const onRead = (bytes: number) => {
      largestReadBytes = Math.max(largestReadBytes, bytes);
      look();
    };
    return timed(() =>
      compileGolden(stage, folder, golden, side, { device, weights, dtype, onRead }),
    );
  });
  const compiled = load.value;
  const first = await timed(() => runStage(compiled));
  const again = await timed(() => runStage(compiled));
  const expected = golden(OUTPUTS[stage](side)).data;
  const activationBytes = compiled.plans.reduce((sum, plan) => sum + plan.ownBytes, 0);
  const dispatches = compiled.plans.flatMap((plan) => plan.program.dispatches);
  const row = {
    stage,
    dtype,
    side: stage === "text" ? null : side,
    maxError: maxError(again.value.data, expected),
    rmsError: rmsError(again.value.data, expected),
    loadMs: load.wallMs,
    firstRunMs: first.wallMs,
    runMs: again.wallMs,
    runCpuMs: again.cpuMs,
    hostPeakBytes: memory.peakBytes,
    hostBeforeBytes: memory.before,
    largestReadBytes,
    weightBytes: device.allocatedBytes - activationBytes,
    activationBytes,
    dispatches: compiled.plans.at(-1)!.program.dispatches.length,
    flops: dispatches.reduce((sum, { kernel, params }) => sum + kernel.flops(params), 0),
  };
  await destroyStage(compiled);
  await weights.destroy();
  return row;
}

const OUTPUTS: Readonly<Record<Stage, (side: number) => string>> = {
  text: () => "text/output",
  unet: (side) => `unet/${side}x${side}/output`,
  vae: (side) => `vae/${side}x${side}/output`,
};

function compileGolden(
  stage: Stage,
  folder: ModelFolder,
  golden: GoldenReader,
  side: number,
  options: StageOptions,
): Promise<CompiledStage> {
  const at = `${stage}/${side}x${side}`;
  const inputs: { readonly [S in Stage]: () => StageInputs[S] } = {
    text: () => ({ ids: golden("text/ids") }),
    unet: () => ({
      sample: golden(`${at}/sample`),
      timestep: golden(`${at}/timestep`).data[0]!,
      context: golden("text/output"),
    }),
    vae: () => ({ z: golden(`${at}/z`) }),
  };
  if (stage === "text") return compileStage.text(folder, inputs.text(), options);
  if (stage === "unet") return compileStage.unet(folder, inputs.unet(), options);
  return compileStage.vae(folder, inputs.vae(), options);
}
