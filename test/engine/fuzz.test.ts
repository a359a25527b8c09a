import assert from "node:assert/strict";
import { type CompileOptions, type Device, evaluate, type Tensor } from "../../engine/index.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { onPoisonedMemory, POISONED } from "../support/poisoned.ts";
import { exactness, printGraph, type RandomGraph, randomGraph } from "../support/random-graph.ts";

/** WGSL_DIFFUSION_FUZZ=200 tries more; the first of them are always the same. */
const GRAPHS = Number(process.env.WGSL_DIFFUSION_FUZZ ?? 12);
const OPS = 12;

describe("onPoisonedMemory", () => {
  it("fails when something is written behind the end of a buffer", async () => {
    const { adapters } = await import("../support/devices.ts");
    const { device } = (await adapters())[0]!;
    const trespass = onPoisonedMemory(device, async () => {
      const buffer = device.createBuffer("victim", 32);
      device.gpu.queue.writeBuffer(buffer, 32, new Uint32Array([0]));
      device.destroyBuffer(buffer);
    });
    await assert.rejects(trespass, /behind the end of victim/);
  });
});

describeOnEveryAdapter("random graphs", (getDevice) => {
  for (let seed = 1; seed <= GRAPHS; seed++) {
    it(`come to the same fused, unfused, on poisoned memory and in float64 (seed ${seed})`, async () => {
      const graph = randomGraph(seed, OPS);
      try {
        await compare(getDevice(), graph, graph.outputs, { fuse: true });
        await compare(getDevice(), graph, graph.outputs, { fuse: false });
        await onPoisonedMemory(getDevice(), async () => {
          await compare(getDevice(), graph, graph.outputs, { fuse: true, label: POISONED });
          // With every result an output each has a buffer, and so a guard, of its own.
          await compare(getDevice(), graph, graph.results, { fuse: false, label: POISONED });
        });
      } catch (error) {
        (error as Error).message += `\nin the graph\n${printGraph(graph)}`;
        throw error;
      }
    });
  }
});

async function compare(
  device: Device,
  graph: RandomGraph,
  outputs: readonly Tensor[],
  options: CompileOptions,
): Promise<void> {
  const results = await evaluate(device, () => outputs, options);
  outputs.forEach((t, i) => {
    const label = `%${t.id} (${t.op}, ${JSON.stringify(options)})`;
    close(results[i]!, graph.expected.get(t)!.data, { ...exactness(t, graph), label });
  });
}
