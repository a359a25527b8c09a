/** A case as an ONNX model: the nodes that PyTorch's exporter and ONNX Runtime's optimiser leave of it. */
import { EPS, type LinearCase, type OpCase } from "../../ops/cases.ts";
import type { Operands } from "../../ops/operands.ts";
import { channelsFirst, channelsLast, transposed } from "../layout.ts";
import { encodeModel, type Model, type Node, type TensorData } from "./model.ts";

export interface OnnxCase {
  readonly model: Uint8Array;
  readonly inputs: Readonly<Record<string, TensorData & { readonly data: Float32Array }>>;
  readonly outputShape: readonly number[];
  /** The result in our layout. */
  readonly ours: (output: Float32Array) => Float32Array;
}

export function onnxCase(c: OpCase, given: Operands): OnnxCase {
  const { model, inputs, ours } = build(c, given);
  const shapes = Object.entries(inputs).map(([name, { shape }]) => [name, shape] as const);
  const bytes = encodeModel({ ...model, inputs: Object.fromEntries(shapes) });
  const outputShape = Object.values(model.outputs)[0]!;
  return { model: bytes, inputs, outputShape, ours: ours ?? ((output) => output) };
}

interface Built {
  readonly model: Omit<Model, "inputs">;
  readonly inputs: OnnxCase["inputs"];
  readonly ours?: OnnxCase["ours"];
}

const node = (op: string, inputs: string[], outputs: string[], more: Partial<Node> = {}): Node => ({
  ...{ op, inputs, outputs },
  ...more,
});

function build(c: OpCase, given: Operands): Built {
  switch (c.op) {
    case "conv2d":
      return convolution(c, given);
    case "linear":
      return { ...product(c.rows, c.inputs, c.outputs, given) };
    case "geglu":
      return gated(c, given);
    case "attention":
      return attention(c, given);
    case "group_norm_silu":
      return groupNorm(c, given);
  }
}

type Sized<Op extends OpCase["op"]> = OpCase & { readonly op: Op };

/** Channels last outside, so that transposes cancel where the engine computes channels last, as inside a network. */
function convolution({ side, outputs }: Sized<"conv2d">, { x, weight, bias }: Operands): Built {
  return {
    model: {
      nodes: [
        node("Transpose", ["x"], ["first"], { attributes: { perm: [0, 3, 1, 2] } }),
        node("Conv", ["first", "weight", "bias"], ["sums"], { attributes: { pads: [1, 1, 1, 1] } }),
        node("Transpose", ["sums"], ["y"], { attributes: { perm: [0, 2, 3, 1] } }),
      ],
      constants: { weight: weight!, bias: bias! },
      outputs: { y: [1, side, side, outputs] },
    },
    inputs: { x: x! },
  };
}

function product(rows: number, inputs: number, columns: number, given: Operands): Built {
  const { x, weight, bias } = given;
  const matrix = { shape: [inputs, columns], data: transposed(weight!.data, columns, inputs) };
  return {
    model: {
      nodes: [node("MatMul", ["x", "weight"], ["xw"]), node("Add", ["xw", "bias"], ["y"])],
      constants: { weight: matrix, bias: bias! },
      outputs: { y: [1, rows, columns] },
    },
    inputs: { x: { shape: [1, rows, inputs], data: x!.data } },
  };
}

function gated({ rows, inputs, outputs }: LinearCase, given: Operands): Built {
  const { model, ...rest } = product(rows, inputs, 2 * outputs, given);
  const both = model.nodes.map((each) => ({
    ...each,
    outputs: each.op === "Add" ? ["both"] : each.outputs,
  }));
  return {
    ...rest,
    model: {
      nodes: [
        ...both,
        node("Split", ["both"], ["value", "gate"], { attributes: { axis: -1, num_outputs: 2 } }),
        node("Gelu", ["gate"], ["opened"], { domain: "com.microsoft" }),
        node("Mul", ["value", "opened"], ["y"]),
      ],
      constants: model.constants,
      outputs: { y: [1, rows, outputs] },
    },
  };
}

/**
 * Spelled out, as exports of PyTorch have it. ONNX Runtime's own `MultiHeadAttention` would be one node, but its
 * WebGPU kernel is off by a tenth of the largest value on lavapipe (1.30.0).
 */
function attention({ queries, heads, dim }: Sized<"attention">, given: Operands): Built {
  const inputs = Object.entries(given).map(([name, { shape, data }]) => [
    name,
    { shape: [1, ...shape], data },
  ]);
  const byHead = (name: string, perm: number[]) => [
    node("Reshape", [name, "heads"], [`${name}-heads`]),
    node("Transpose", [`${name}-heads`], [`${name}-first`], { attributes: { perm } }),
  ];
  return {
    model: {
      nodes: [
        ...byHead("q", [0, 2, 1, 3]),
        ...byHead("k", [0, 2, 3, 1]),
        ...byHead("v", [0, 2, 1, 3]),
        node("MatMul", ["q-first", "k-first"], ["products"]),
        node("Mul", ["products", "scale"], ["scores"]),
        node("Softmax", ["scores"], ["shares"], { attributes: { axis: -1 } }),
        node("MatMul", ["shares", "v-first"], ["sums"]),
        node("Transpose", ["sums"], ["back"], { attributes: { perm: [0, 2, 1, 3] } }),
        node("Reshape", ["back", "flat"], ["y"]),
      ],
      constants: {
        heads: list([0, 0, heads, dim]),
        flat: list([0, 0, heads * dim]),
        scale: { shape: [1], data: new Float32Array([1 / Math.sqrt(dim)]) },
      },
      outputs: { y: [1, queries, heads * dim] },
    },
    inputs: Object.fromEntries(inputs),
  };
}

const list = (values: number[]): TensorData => ({
  shape: [values.length],
  data: BigInt64Array.from(values, BigInt),
});

/** As PyTorch exports it, channels first throughout: the operands are brought into that layout beforehand. */
function groupNorm({ side, channels, groups }: Sized<"group_norm_silu">, given: Operands): Built {
  const { x, weight, bias } = given;
  const shape = [1, channels, side, side];
  const ones = new Float32Array(groups).fill(1);
  return {
    model: {
      nodes: [
        node("Reshape", ["x", "groups"], ["grouped"]),
        node("InstanceNormalization", ["grouped", "ones", "zeros"], ["even"], {
          attributes: { epsilon: { float: EPS } },
        }),
        node("Reshape", ["even", "shape"], ["picture"]),
        node("Mul", ["picture", "weight"], ["scaled"]),
        node("Add", ["scaled", "bias"], ["normed"]),
        node("Sigmoid", ["normed"], ["gate"]),
        node("Mul", ["normed", "gate"], ["y"]),
      ],
      constants: {
        groups: list([0, groups, -1]),
        shape: list(shape),
        ones: { shape: [groups], data: ones },
        zeros: { shape: [groups], data: new Float32Array(groups) },
        weight: { shape: [channels, 1, 1], data: weight!.data },
        bias: { shape: [channels, 1, 1], data: bias!.data },
      },
      outputs: { y: shape },
    },
    inputs: { x: { shape, data: channelsFirst(x!.data, channels) } },
    ours: (output) => channelsLast(output, channels),
  };
}
