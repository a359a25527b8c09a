/** onnxruntime-node on the WebGPU provider of its own binary, which takes and gives tensors in host memory only. */
import { onnxCase } from "../onnx/case.ts";
import { type Peer, requirePackage, versionOf } from "../peer.ts";

export async function open(): Promise<Peer> {
  const ort = requirePackage("onnxruntime-node");
  return {
    name: "onnxruntime-node",
    version: versionOf("onnxruntime-node"),
    async prepare(c, given) {
      const made = onnxCase(c, given);
      const session = await ort.InferenceSession.create(made.model, {
        executionProviders: ["webgpu"],
        graphOptimizationLevel: "all",
        // What it cannot put on the GPU must not run on the CPU unseen.
        extra: { session: { disable_cpu_ep_fallback: "1" } },
        logSeverityLevel: 3,
      });
      const feeds = Object.entries(made.inputs).map(([name, { shape, data }]) => [
        name,
        new ort.Tensor("float32", data, shape),
      ]);
      const inputs = Object.fromEntries(feeds);
      let last: { readonly data: Float32Array } | undefined;
      return {
        async run() {
          last = (await session.run(inputs)).y;
        },
        output: async () => made.ours(last!.data),
        dispose: () => session.release(),
      };
    },
  };
}
