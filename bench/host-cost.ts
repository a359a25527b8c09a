/**
 * What a dispatch costs the host: encoding and submitting the full-size UNet's step on Dawn's null backend,
 * where nothing runs. (A driver's own share of a submit is not in it.)
 */
import type { Outputs } from "../engine/graph.ts";
import { compile, type Device, openDevice, type WeightCache } from "../engine/index.ts";
import { timed } from "./clock.ts";

export interface HostCost {
  readonly dispatches: number;
  /** Least of the rounds, by the wall and by the CPU. */
  readonly wallUs: number;
  readonly cpuUs: number;
}

/** Short rounds: on a busy machine some fit between two turns of the others. */
const ROUNDS = 500;
const RUNS = 2;

/** µs per dispatch for a plan of `outputs`, whose weights need not be readable. */
export async function hostCost(outputs: Outputs): Promise<HostCost> {
  using device = await openDevice({ backend: "null" });
  const plan = await compile(device, outputs, { weights: noWeights(device) });
  const dispatches = plan.program.dispatches.length;
  let [wallUs, cpuUs] = [Number.POSITIVE_INFINITY, Number.POSITIVE_INFINITY];
  for (let round = 0; round < ROUNDS; round++) {
    const { wallMs, cpuMs } = await timed(() => {
      for (let run = 0; run < RUNS; run++) plan.run();
    });
    await plan.done();
    wallUs = Math.min(wallUs, (1000 * wallMs) / (RUNS * dispatches));
    cpuUs = Math.min(cpuUs, (1000 * cpuMs) / (RUNS * dispatches));
  }
  await plan.destroy();
  return { dispatches, wallUs, cpuUs };
}

/** One buffer in place of all weights: the null backend reads none, and has 512 MiB in all. */
function noWeights(device: Device): WeightCache {
  const one = device.createBuffer("weights", 2 ** 27);
  return { get: async () => one, destroy: async () => undefined } as unknown as WeightCache;
}
