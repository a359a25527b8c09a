/** Dispatches made ready for a device: pipeline, bind group, grid; and their way into a command buffer. */
import { dimsBytes, type OperandTypes } from "../shaders/assemble.ts";
import type { Device } from "./device.ts";
import { mapValues } from "./graph.ts";
import type { Dispatch } from "./lower/lowering.ts";
import { storageBytes } from "./memory.ts";
import type { Program } from "./program.ts";

export interface Step {
  readonly dispatch: Dispatch;
  readonly pipeline: GPUComputePipeline;
  readonly group: GPUBindGroup;
  readonly workgroups: readonly [number, number, number];
}

/** The pipelines of a program, all compiled at once. Throws GPU_VALIDATION. */
export async function compilePipelines(
  device: Device,
  program: Program,
  onProgress?: (done: number, total: number) => void,
): Promise<GPUComputePipeline[]> {
  let done = 0;
  return Promise.all(
    program.dispatches.map(async ({ kernel, params, operands }) => {
      const pipeline = await device.pipeline(
        kernel,
        params,
        mapValues(operands, ({ type }) => type) as OperandTypes,
      );
      onProgress?.(++done, program.dispatches.length);
      return pipeline;
    }),
  );
}

/** The dispatches with their bind groups; `own` is told of the buffer that they share for their dims. */
export function makeSteps(
  device: Device,
  program: Program,
  pipelines: readonly GPUComputePipeline[],
  buffers: ReadonlyMap<number, GPUBuffer>,
  own: (buffer: GPUBuffer) => void,
): Step[] {
  const dims = device.target.bake ? undefined : uniformBuffer(device, program, own);
  return program.dispatches.map((dispatch, i) => {
    const { kernel, params, operands, label } = dispatch;
    const entries: GPUBindGroupEntry[] = kernel.operands.flatMap(({ name }, binding) => {
      const storage = operands[name];
      if (!storage) return [];
      return [
        { binding, resource: { buffer: buffers.get(storage.id)!, size: storageBytes(storage) } },
      ];
    });
    const slice = dims?.slices[i];
    if (dims && slice)
      entries.push({
        binding: kernel.operands.length,
        resource: { buffer: dims.buffer, ...slice },
      });
    const layout = pipelines[i]!.getBindGroupLayout(0);
    const group = device.gpu.createBindGroup({ label, layout, entries });
    return { dispatch, pipeline: pipelines[i]!, group, workgroups: kernel.workgroups(params) };
  });
}

/** One uniform buffer with the dims of every dispatch, each on a border that WebGPU allows. */
function uniformBuffer(device: Device, program: Program, own: (buffer: GPUBuffer) => void) {
  const align = device.gpu.limits.minUniformBufferOffsetAlignment;
  let end = 0;
  const slices = program.dispatches.map(({ kernel, params }) => {
    const bytes = dimsBytes(kernel, params);
    if (bytes.length === 0) return undefined;
    const offset = end;
    end += Math.ceil(bytes.length / align) * align;
    return { bytes, offset, size: Math.ceil(bytes.length / 16) * 16 };
  });
  if (end === 0) return undefined;
  const { UNIFORM, COPY_DST } = GPUBufferUsage;
  const buffer = device.createBuffer("dims", end, UNIFORM | COPY_DST);
  own(buffer);
  for (const slice of slices)
    if (slice) device.gpu.queue.writeBuffer(buffer, slice.offset, slice.bytes);
  return {
    buffer,
    slices: slices.map((slice) => slice && { offset: slice.offset, size: slice.size }),
  };
}

/** Adds one dispatch to a pass. */
export function encodeStep(
  pass: GPUComputePassEncoder,
  { pipeline, group, workgroups }: Step,
): void {
  pass.setPipeline(pipeline);
  pass.setBindGroup(0, group);
  pass.dispatchWorkgroups(...workgroups);
}

/** Submits dispatches in one pass, and copies after them; does not wait. */
export function submit(
  device: Device,
  steps: readonly Step[],
  after?: (encoder: GPUCommandEncoder) => void,
): void {
  const encoder = device.gpu.createCommandEncoder();
  const pass = encoder.beginComputePass();
  for (const step of steps) encodeStep(pass, step);
  pass.end();
  after?.(encoder);
  device.gpu.queue.submit([encoder.finish()]);
}
