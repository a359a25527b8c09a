/** onnxruntime-node on the WebGPU provider of its own binary, which takes and gives tensors in host memory only. */
import { type OnnxCase, onnxCase } from "../onnx/case.ts";
import { onnxUnet } from "../onnx/unet.ts";
import { type Peer, type Prepared, requirePackage, versionOf } from "../peer.ts";

export async function open(): Promise<Peer> {
  return {
    name: "onnxruntime-node",
    version: versionOf("onnxruntime-node"),
    prepare: async (c, given) => session(onnxCase(c, given)),
    prepareUnet: async (c) => session(await onnxUnet(c)),
  };
}

async function session({
  model,
  inputs: given,
  ours,
}: Pick<OnnxCase, "model" | "inputs" | "ours">): Promise<Prepared> {
  const ort = requirePackage("onnxruntime-node");
  const session = await ort.InferenceSession.create(model, {
    executionProviders: ["webgpu"],
    graphOptimizationLevel: "all",
    // What it cannot put on the GPU must not run on the CPU unseen.
    extra: { session: { disable_cpu_ep_fallback: "1" } },
    logSeverityLevel: 3,
  });
  const feeds = Object.entries(given).map(([name, { shape, data }]) => [
    name,
    new ort.Tensor("float32", data, shape),
  ]);
  const inputs = Object.fromEntries(feeds);
  const [output] = session.outputNames;
  let last: { readonly data: Float32Array } | undefined;
  return {
    async run() {
      last = (await session.run(inputs))[output];
    },
    output: async () => ours(last!.data),
    dispose: () => session.release(),
  };
}
