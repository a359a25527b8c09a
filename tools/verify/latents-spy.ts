/** Watches the denoising loop from outside: the latents after every step, and what is read back. */
import type { Device } from "../../engine/index.ts";
import { type LatentShape, latentsOf } from "../../model/denoise.ts";

export interface Seen<T> {
  readonly result: T;
  /** After each step, as PyTorch lays latents out: [B, C, h, w]. */
  readonly latents: readonly Float32Array[];
}

/**
 * What `work` returns, and the latents of the run in it: behind each submit that follows a write of the
 * step's number, a copy of the state is submitted. The read-backs of these come after `work`.
 */
export async function withLatents<T>(
  device: Device,
  shape: LatentShape,
  work: () => Promise<T>,
): Promise<Seen<T>> {
  const { queue } = device.gpu;
  const { writeBuffer, submit } = queue;
  const copies: GPUBuffer[] = [];
  let state: GPUBuffer | undefined;
  let isStep = false;
  queue.writeBuffer = (buffer: GPUBuffer, ...rest: unknown[]) => {
    if (buffer.label === "state") state = buffer;
    if (buffer.label === "step") isStep = true;
    return (writeBuffer as (...args: unknown[]) => undefined).call(queue, buffer, ...rest);
  };
  queue.submit = (commands) => {
    submit.call(queue, commands);
    if (isStep) copies.push(copyOf(device, state!, submit));
    isStep = false;
  };
  try {
    const result = await work();
    const latents: Float32Array[] = [];
    for (const copy of copies) latents.push(latentsOf(await contents(copy), shape));
    return { result, latents };
  } finally {
    Object.assign(queue, { writeBuffer, submit });
  }
}

function copyOf({ gpu }: Device, buffer: GPUBuffer, submit: GPUQueue["submit"]): GPUBuffer {
  const usage = GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST;
  const copy = gpu.createBuffer({ size: buffer.size, usage });
  const encoder = gpu.createCommandEncoder();
  encoder.copyBufferToBuffer(buffer, 0, copy, 0, buffer.size);
  submit.call(gpu.queue, [encoder.finish()]);
  return copy;
}

async function contents(copy: GPUBuffer): Promise<Float32Array> {
  await copy.mapAsync(GPUMapMode.READ);
  const values = new Float32Array(copy.getMappedRange().slice(0));
  copy.destroy();
  return values;
}
