/** Runs plans on memory that is full of NaN, with guard bands behind every storage. */
import assert from "node:assert/strict";
import type { Device } from "../../engine/device.ts";

/** Bytes behind each buffer that kernels can reach but must not write. */
const GUARD = 256;

/** A NaN as f32, and two of them as f16. */
const POISON = 0x7fc07fc0;

/** The label of plans whose own buffers begin as NaN; weights count on being zero behind their end. */
export const POISONED = "poisoned";

/**
 * While `work` runs, storage buffers of the device are larger than asked for and bindings reach into the
 * rest, so that a kernel that runs over its end meets NaN or leaves a trace; fails if one did. Buffers
 * of plans compiled with the label POISONED are NaN from end to end.
 */
export async function onPoisonedMemory<T>(device: Device, work: () => Promise<T>): Promise<T> {
  const guarded = new Map<GPUBuffer, { label: string; bytes: number }>();
  const { createBuffer, destroyBuffer } = device;
  const { createBindGroup } = device.gpu;
  const traces: Promise<void>[] = [];
  Object.assign(device, {
    createBuffer(label: string, bytes: number, usage?: GPUBufferUsageFlags) {
      if (usage !== undefined) return createBuffer.call(device, label, bytes, usage);
      const size = Math.max(16, Math.ceil(bytes / 16) * 16);
      const buffer = createBuffer.call(device, label, size + GUARD);
      guarded.set(buffer, { label, bytes: size });
      const start = label.startsWith(POISONED) ? 0 : size;
      const poison = new Uint32Array((size + GUARD - start) / 4).fill(POISON);
      device.gpu.queue.writeBuffer(buffer, start, poison);
      return buffer;
    },
    destroyBuffer(buffer: GPUBuffer) {
      const guard = guarded.get(buffer);
      if (guard) traces.push(checkGuard(device, buffer, guard));
      guarded.delete(buffer);
      destroyBuffer.call(device, buffer);
    },
  });
  device.gpu.createBindGroup = (descriptor) =>
    createBindGroup.call(device.gpu, {
      ...descriptor,
      entries: [...descriptor.entries].map((entry) => widen(entry, guarded)),
    });
  try {
    const result = await work();
    for (const [buffer, guard] of guarded) traces.push(checkGuard(device, buffer, guard));
    await Promise.all(traces);
    return result;
  } finally {
    Object.assign(device, { createBuffer, destroyBuffer });
    device.gpu.createBindGroup = createBindGroup;
  }
}

function widen(
  entry: GPUBindGroupEntry,
  guarded: ReadonlyMap<GPUBuffer, unknown>,
): GPUBindGroupEntry {
  const { buffer, offset, size } = entry.resource as GPUBufferBinding;
  if (!guarded.has(buffer) || offset !== undefined || size === undefined) return entry;
  return { ...entry, resource: { buffer, size: size + GUARD } };
}

async function checkGuard(
  { gpu }: Device,
  buffer: GPUBuffer,
  { label, bytes }: { label: string; bytes: number },
): Promise<void> {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const staging = gpu.createBuffer({ label: "guard", size: GUARD, usage });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, bytes, staging, 0, GUARD);
  gpu.queue.submit([encoder.finish()]);
  await staging.mapAsync(GPUMapMode.READ);
  const words = new Uint32Array(staging.getMappedRange().slice(0));
  staging.destroy();
  const written = words.findIndex((word) => word !== POISON);
  assert.ok(written < 0, `a kernel wrote ${4 * written} bytes behind the end of ${label}`);
}
