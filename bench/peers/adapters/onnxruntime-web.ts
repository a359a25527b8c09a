/** onnxruntime-web on its WebGPU provider; operands and result stay on the GPU. */
import { loadWebGPU } from "../../../engine/platform/dawn.node.ts";
import { type OnnxCase, onnxCase } from "../onnx/case.ts";
import { onnxUnet } from "../onnx/unet.ts";
import { load, type Peer, type Prepared, versionOf } from "../peer.ts";

export async function open(): Promise<Peer> {
  const gpu = await loadWebGPU();
  Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "node" } });
  copyViewsOfSharedMemory();
  const ort = await load("onnxruntime-web/dist/ort.webgpu.mjs");
  ort.env.wasm.numThreads = 1;
  ort.env.logLevel = "error";
  return {
    name: "onnxruntime-web",
    version: versionOf("onnxruntime-web"),
    prepare: (c, given) => session(ort, onnxCase(c, given)),
    prepareUnet: async (c) => session(ort, await onnxUnet(c)),
  };
}

async function session(
  // biome-ignore lint/suspicious/noExplicitAny: the package is not there when our code is checked
  ort: any,
  { model, inputs: given, ours }: Pick<OnnxCase, "model" | "inputs" | "ours">,
): Promise<Prepared> {
  const session = await ort.InferenceSession.create(model, {
    executionProviders: [{ name: "webgpu", preferredLayout: "NHWC" }],
    graphOptimizationLevel: "all",
    preferredOutputLocation: "gpu-buffer",
  });
  const device: GPUDevice = await ort.env.webgpu.device;
  const buffers: GPUBuffer[] = [];
  const feeds = Object.entries(given).map(([name, { shape, data }]) => {
    const buffer = uploaded(device, data);
    buffers.push(buffer);
    return [name, ort.Tensor.fromGpuBuffer(buffer, { dataType: "float32", dims: shape })];
  });
  const inputs = Object.fromEntries(feeds);
  const [output] = session.outputNames;
  let last: { getData(): Promise<Float32Array>; dispose(): void } | undefined;
  return {
    async run() {
      last?.dispose();
      last = (await session.run(inputs))[output];
      await device.queue.onSubmittedWorkDone();
    },
    output: async () => ours(await last!.getData()),
    async dispose() {
      await session.release();
      for (const buffer of buffers) buffer.destroy();
    },
  };
}

function uploaded(device: GPUDevice, data: Float32Array): GPUBuffer {
  const usage = GPUBufferUsage.STORAGE | GPUBufferUsage.COPY_DST | GPUBufferUsage.COPY_SRC;
  const buffer = device.createBuffer({ size: Math.ceil(data.byteLength / 16) * 16, usage });
  device.queue.writeBuffer(buffer, 0, data as Float32Array<ArrayBuffer>);
  return buffer;
}

/** Its WebAssembly memory is shared between threads, which Dawn's writeBuffer in Node refuses. */
function copyViewsOfSharedMemory(): void {
  const write = GPUQueue.prototype.writeBuffer;
  GPUQueue.prototype.writeBuffer = function (buffer, at, data, offset = 0, size) {
    const isView = ArrayBuffer.isView(data);
    if ((isView ? data.buffer : data) instanceof ArrayBuffer) {
      return write.call(this, buffer, at, data as BufferSource, offset, size);
    }
    const all = isView
      ? new Uint8Array(data.buffer, data.byteOffset, data.byteLength)
      : new Uint8Array(data);
    // In elements of a view, in bytes of a buffer.
    const unit = isView ? ((data as Uint8Array).BYTES_PER_ELEMENT ?? 1) : 1;
    const end = size === undefined ? all.length : (offset + size) * unit;
    return write.call(this, buffer, at, all.slice(offset * unit, end));
  };
}
