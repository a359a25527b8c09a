/** jax-js on its WebGPU backend, each case as one jitted function; arrays stay on the GPU. */
import { loadWebGPU } from "../../../engine/platform/dawn.node.ts";
import { EPS, type OpCase } from "../../ops/cases.ts";
import type { Operands } from "../../ops/operands.ts";
import { channelsFirst, channelsLast } from "../layout.ts";
import { load, type Peer, versionOf } from "../peer.ts";

/** An array of jax-js; a call uses its arguments up, and `ref` keeps them. */
interface JaxArray {
  readonly ref: JaxArray;
  blockUntilReady(): Promise<JaxArray>;
  data(): Promise<Float32Array>;
  dispose(): void;
}

/** Iterator helpers (ECMAScript 2025), which jax-js uses and Node 20 lacks. */
function addIteratorHelpers(): void {
  const prototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));
  const lists = ["map", "filter", "some", "every", "find", "reduce", "forEach"] as const;
  for (const name of lists) {
    prototype[name] ??= function (this: Iterable<unknown>, ...given: unknown[]) {
      const list = [...this] as unknown as Record<string, (...given: unknown[]) => unknown>;
      const result = list[name]!(...given);
      return Array.isArray(result) ? result.values() : result;
    };
  }
  prototype.toArray ??= function (this: Iterable<unknown>) {
    return [...this];
  };
}

export async function open(): Promise<Peer> {
  addIteratorHelpers();
  const gpu = await loadWebGPU();
  Object.defineProperty(globalThis, "navigator", { value: { gpu, userAgent: "node" } });
  const jax = await load("@jax-js/jax/dist/index.js");
  await jax.init("webgpu");
  jax.defaultDevice("webgpu");
  return {
    name: "jax-js",
    version: versionOf("@jax-js/jax"),
    async prepare(c, given) {
      const { leaves, compute, ours } = build(jax, c, given);
      const jitted = jax.jit(compute);
      let last: JaxArray | undefined;
      return {
        async run() {
          last?.dispose();
          const result = jitted(...leaves.map((leaf) => leaf.ref)) as JaxArray;
          last = await result.blockUntilReady();
        },
        async output() {
          const data = await last!.ref.data();
          return ours ? ours(data) : data;
        },
        async dispose() {
          last?.dispose();
          for (const leaf of leaves) leaf.dispose();
        },
      };
    },
  };
}

interface Built {
  readonly leaves: readonly JaxArray[];
  // biome-ignore lint/suspicious/noExplicitAny: the package is not there when our code is checked
  readonly compute: (...leaves: any[]) => unknown;
  readonly ours?: (data: Float32Array) => Float32Array;
}

// biome-ignore lint/suspicious/noExplicitAny: as above
function build(jax: any, c: OpCase, given: Operands): Built {
  const { numpy: np, nn, lax } = jax;
  const array = (data: Float32Array, shape: readonly number[]) =>
    np.array(data, { shape, dtype: np.float32 });
  const plain = (names: readonly string[]) =>
    names.map((name) => array(given[name]!.data, given[name]!.shape));
  const last = (channels: number) => (data: Float32Array) => channelsLast(data, channels);
  const [x, weight, bias] = ["x", "weight", "bias"].map((name) => given[name]!);
  switch (c.op) {
    case "conv2d":
      return {
        leaves: [
          array(channelsFirst(x!.data, c.inputs), [1, c.inputs, c.side, c.side]),
          array(weight!.data, weight!.shape),
          array(bias!.data, [c.outputs, 1, 1]),
        ],
        compute: (a, w, b) => lax.convGeneralDilated(a, w, [1, 1], "SAME").add(b),
        ours: last(c.outputs),
      };
    case "linear":
      return {
        leaves: plain(["x", "weight", "bias"]),
        compute: (a, w, b) => np.matmul(a, np.transpose(w)).add(b),
      };
    case "geglu":
      return {
        leaves: plain(["x", "weight", "bias"]),
        compute(a, w, b) {
          const [value, gate] = np.split(np.matmul(a, np.transpose(w)).add(b), 2, -1);
          return value.mul(nn.gelu(gate, { approximate: false }));
        },
      };
    case "attention": {
      const shape = (n: number) => [1, n, c.heads, c.dim];
      return {
        leaves: [
          array(given.q!.data, shape(c.queries)),
          array(given.k!.data, shape(c.keys)),
          array(given.v!.data, shape(c.keys)),
        ],
        compute: (q, k, v) => nn.dotProductAttention(q, k, v),
      };
    }
    case "group_norm_silu":
      return {
        leaves: [
          array(x!.data, [c.side ** 2, c.groups, c.channels / c.groups]),
          array(weight!.data, [c.channels]),
          array(bias!.data, [c.channels]),
        ],
        compute(a, w, b) {
          const even = nn.standardize(a, [0, 2], { epsilon: EPS });
          const flat = np.reshape(even, [c.side ** 2, c.channels]);
          return nn.silu(flat.mul(w).add(b));
        },
      };
  }
}
