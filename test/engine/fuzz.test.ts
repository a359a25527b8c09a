import assert from "node:assert/strict";
import { byteLength, decode } from "../../engine/host.ts";
import {
  type CompileOptions,
  compile,
  type Device,
  evaluate,
  type Tensor,
} from "../../engine/index.ts";
import { channels, pitch, rows } from "../../engine/shape.ts";
import { close } from "../support/close.ts";
import { adapters, describeOnEveryAdapter } from "../support/devices.ts";
import { onPoisonedMemory, POISONED } from "../support/poisoned.ts";
import { exactness, printGraph, type RandomGraph, randomGraph } from "../support/random-graph.ts";

/** WGSL_DIFFUSION_FUZZ=200 tries more; the first of them are always the same. */
const GRAPHS = Number(process.env.WGSL_DIFFUSION_FUZZ ?? 12);
const OPS = 12;

describe("onPoisonedMemory", () => {
  it("fails when something is written behind the end of a buffer", async () => {
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
        // Every picture that can be is computed in bands of a row or two.
        await compare(getDevice(), graph, graph.outputs, { fuse: true, bandBytes: 512 });
        await onPoisonedMemory(getDevice(), async () => {
          await compare(getDevice(), graph, graph.outputs, { fuse: true, label: POISONED });
          // With every result an output each has a buffer, and so a guard, of its own.
          await compare(getDevice(), graph, graph.results, { fuse: false, label: POISONED });
          await checkPadding(getDevice(), graph.results);
        });
      } catch (error) {
        (error as Error).message += `\nin the graph\n${printGraph(graph)}`;
        throw error;
      }
    });
  }
});

/** Each kind of tile and epilogue takes seconds to compile on a CPU, so there are few of these. */
describeOnEveryAdapter(
  "random graphs, in the form for GPUs",
  (getDevice) => {
    for (let seed = 1; seed <= GRAPHS / 4; seed++) {
      it(`come to the same fused, on poisoned memory and in float64 (seed ${seed})`, async () => {
        const graph = randomGraph(seed, OPS);
        try {
          await compare(getDevice(), graph, graph.outputs, { fuse: true });
          await onPoisonedMemory(getDevice(), async () => {
            await compare(getDevice(), graph, graph.outputs, { fuse: true, label: POISONED });
          });
        } catch (error) {
          (error as Error).message += `\nin the graph\n${printGraph(graph)}`;
          throw error;
        }
      });
    }
  },
  { software: false, bake: false },
);

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

/** Readers may count on zeros behind the last channel of each row. */
async function checkPadding(device: Device, outputs: readonly Tensor[]): Promise<void> {
  const padded = outputs.filter(({ shape }) => channels(shape) % 4 !== 0);
  if (padded.length === 0) return;
  const named = Object.fromEntries(padded.map((t) => [`%${t.id}`, t]));
  const plan = await compile(device, named, { fuse: false, label: POISONED });
  plan.run();
  for (const [name, t] of Object.entries(named)) {
    const bytes = await readBuffer(device, plan.buffer(name), byteLength(t.shape, t.dtype));
    // As rows of whole vec4s the padding is part of what is decoded.
    const whole = decode(bytes, [rows(t.shape), 4 * pitch(t.shape)], t.dtype);
    const width = 4 * pitch(t.shape);
    const dirty = whole.findIndex((v, i) => i % width >= channels(t.shape) && v !== 0);
    assert.ok(dirty < 0, `${name} (${t.op}) leaves ${whole[dirty]} behind its last channel`);
  }
  await plan.destroy();
}

async function readBuffer({ gpu }: Device, source: GPUBuffer, size: number): Promise<ArrayBuffer> {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = gpu.createBuffer({ label: "padding", size, usage });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(source, 0, staging, 0, size);
  gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const bytes = staging.getMappedRange().slice(0);
  staging.destroy();
  return bytes;
}
