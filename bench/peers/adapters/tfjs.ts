/** TensorFlow.js on its WebGPU backend; tensors stay on the GPU. */
import { loadWebGPU } from "../../../engine/platform/dawn.node.ts";
import { EPS, type OpCase } from "../../ops/cases.ts";
import type { Operands } from "../../ops/operands.ts";
import { tapsFirst, transposed } from "../layout.ts";
import { type Peer, requirePackage, versionOf } from "../peer.ts";

interface Tensor {
  data(): Promise<Float32Array>;
  dispose(): void;
}

export async function open(): Promise<Peer> {
  const gpu = await loadWebGPU();
  Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "node" } });
  const tf = requirePackage("@tensorflow/tfjs-core");
  requirePackage("@tensorflow/tfjs-backend-webgpu");
  await tf.setBackend("webgpu");
  await tf.ready();
  const backend = tf.backend();
  return {
    name: "TensorFlow.js",
    version: versionOf("@tensorflow/tfjs-backend-webgpu"),
    async prepare(c, given) {
      const { leaves, compute } = build(tf, c, given);
      let last: Tensor | undefined;
      return {
        async run() {
          last?.dispose();
          last = tf.tidy(compute) as Tensor;
          backend.endComputePassEncoder();
          backend.submitQueue();
          await backend.queue.onSubmittedWorkDone();
        },
        output: () => last!.data(),
        async dispose() {
          last?.dispose();
          for (const leaf of leaves) leaf.dispose();
        },
      };
    },
  };
}

type Built = { readonly leaves: readonly Tensor[]; readonly compute: () => unknown };

// biome-ignore lint/suspicious/noExplicitAny: the package is not there when our code is checked
function build(tf: any, c: OpCase, given: Operands): Built {
  const { x, weight, bias, q, k, v } = given;
  const product = (columns: number, inputs: number) => {
    const a = tf.tensor(x!.data, x!.shape);
    const b = tf.tensor(transposed(weight!.data, columns, inputs), [inputs, columns]);
    const add = tf.tensor(bias!.data, bias!.shape);
    return { leaves: [a, b, add], compute: () => tf.fused.matMul({ a, b, bias: add }) };
  };
  switch (c.op) {
    case "conv2d": {
      const picture = tf.tensor(x!.data, x!.shape);
      const taps = tapsFirst(weight!.data, c.outputs, c.inputs);
      const filter = tf.tensor(taps, [3, 3, c.inputs, c.outputs]);
      const add = tf.tensor(bias!.data, bias!.shape);
      const options = { x: picture, filter, bias: add, strides: 1, pad: "same" };
      return { leaves: [picture, filter, add], compute: () => tf.fused.conv2d(options) };
    }
    case "linear":
      return product(c.outputs, c.inputs);
    case "geglu": {
      const { leaves, compute } = product(2 * c.outputs, c.inputs);
      return {
        leaves,
        compute() {
          const [value, gate] = tf.split(compute(), 2, -1);
          const share = tf.add(tf.erf(tf.mul(gate, Math.SQRT1_2)), 1);
          return tf.mul(tf.mul(value, tf.mul(gate, 0.5)), share);
        },
      };
    }
    case "attention": {
      const leaves = [q, k, v].map((t) => tf.tensor(t!.data, t!.shape));
      const heads = (t: unknown) => tf.transpose(tf.reshape(t, [-1, c.heads, c.dim]), [1, 0, 2]);
      return {
        leaves,
        compute() {
          const [a, b, d] = leaves.map(heads);
          const scores = tf.mul(tf.matMul(a, b, false, true), 1 / Math.sqrt(c.dim));
          const sums = tf.matMul(tf.softmax(scores), d);
          return tf.reshape(tf.transpose(sums, [1, 0, 2]), [c.queries, c.heads * c.dim]);
        },
      };
    }
    case "group_norm_silu": {
      const picture = tf.tensor(x!.data, [c.side ** 2, c.groups, c.channels / c.groups]);
      const scales = [weight, bias].map((t) => tf.tensor(t!.data, [c.channels]));
      return {
        leaves: [picture, ...scales],
        compute() {
          const { mean, variance } = tf.moments(picture, [0, 2], true);
          const even = tf.mul(tf.sub(picture, mean), tf.rsqrt(tf.add(variance, EPS)));
          const flat = tf.reshape(even, [1, c.side, c.side, c.channels]);
          const y = tf.add(tf.mul(flat, scales[0]), scales[1]);
          return tf.mul(y, tf.sigmoid(y));
        },
      };
    }
  }
}
