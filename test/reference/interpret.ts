/** A graph of ops computed in float64 on the host: what every plan for it must come to. */
import type { ParameterSource, Tensor } from "../../engine/tensor.ts";
import { attentionReference } from "./attention.ts";
import { type ConvGeometry, conv2d } from "./conv2d.ts";
import { binary, unary } from "./elementwise.ts";
import { interpolate, type Resizing } from "./interpolate.ts";
import { concat, expand, pad, permute, reshape, slice } from "./layout.ts";
import { linear, matmul } from "./linear.ts";
import { groupNormReference, layerNormReference } from "./norm.ts";
import { maxPool2d, type PoolGeometry } from "./pool.ts";
import { embedding, mean, softmax } from "./reduce.ts";
import { type Values, values } from "./values.ts";

/** The values of a leaf ("data" brings its own). */
export type Leaves = ReadonlyMap<Tensor | ParameterSource, Values>;

/** The values of every tensor that `outputs` depend on. Throws for an op without a reference. */
export function interpret(
  outputs: readonly Tensor[],
  leaves: Leaves = new Map(),
): Map<Tensor, Values> {
  const done = new Map<Tensor, Values>();
  const visit = (t: Tensor): Values => {
    const known = done.get(t);
    if (known) return known;
    const inputs = Object.fromEntries(Object.entries(t.inputs).map(([k, x]) => [k, visit(x)]));
    const result = compute(t, inputs, leaves);
    done.set(t, result);
    return result;
  };
  outputs.forEach(visit);
  return done;
}

type Inputs = Readonly<Record<string, Values>>;

function compute(t: Tensor, inputs: Inputs, leaves: Leaves): Values {
  const leaf = leaves.get(t) ?? leaves.get(t.attrs.source as ParameterSource);
  if (leaf) return leaf;
  const reference = REFERENCES[t.op];
  if (!reference) throw new Error(`no reference for ${t.op}`);
  return reference(t, inputs);
}

const REFERENCES: Readonly<Record<string, (t: Tensor, inputs: Inputs) => Values>> = {
  data: ({ attrs, shape }) => values(attrs.data as ArrayLike<number>, shape),
  unary: ({ attrs }, { x }) => unary(x!, attrs.fn as string, attrs.scalar as number),
  binary: ({ attrs }, { a, b }) => binary(a!, b!, attrs.fn as string),
  cast: ({ dtype }, { x }) => (dtype === "i32" ? { ...x!, data: x!.data.map(Math.trunc) } : x!),
  reshape: ({ shape }, { x }) => reshape(x!, shape),
  permute: ({ attrs }, { x }) => permute(x!, attrs.axes as number[]),
  expand: ({ shape }, { x }) => expand(x!, shape),
  slice: ({ attrs, shape }, { x }) => {
    const { axis, start } = attrs as { axis: number; start: number };
    return slice(x!, axis, start, shape[axis]!);
  },
  pad: ({ attrs, shape }, { x }) => pad(x!, shape, attrs.before as number[], attrs.value as number),
  concat: ({ attrs }, { a, b }) => concat(a!, b!, attrs.axis as number),
  interpolate: ({ attrs, shape }, { x }) =>
    interpolate(x!, [shape[1]!, shape[2]!], attrs as unknown as Resizing),
  max_pool2d: ({ attrs }, { x }) => maxPool2d(x!, attrs as unknown as PoolGeometry),
  mean: ({ attrs, shape }, { x }) => mean(x!, attrs.axes as number[], shape),
  softmax: ({ attrs }, { x }) => softmax(x!, attrs.dim as number),
  embedding: (_, { ids, weight }) => embedding(ids!, weight!),
  linear: (_, { x, weight, bias }) => linear(x!, weight!, bias),
  matmul: (_, { a, b }) => matmul(a!, b!),
  conv2d: ({ attrs }, { x, weight, bias }) =>
    conv2d(x!, weight!, bias, attrs as unknown as ConvGeometry),
  layer_norm: ({ attrs, shape }, { x, weight, bias }) =>
    values(layerNormReference(x!.data, shape.at(-1)!, scaleOf(attrs, weight, bias)), shape),
  group_norm: ({ attrs, shape }, { x, weight, bias }) => {
    const C = shape.at(-1)!;
    const sizes = {
      B: shape[0]!,
      P: x!.data.length / C / shape[0]!,
      C,
      groups: attrs.groups as number,
    };
    return values(groupNormReference(x!.data, sizes, scaleOf(attrs, weight, bias)), shape);
  },
  attention: ({ attrs, shape }, { q, k, v }) => {
    const { heads, scale, causal } = attrs as { heads: number; scale: number; causal: boolean };
    const [B, N] = shape as [number, number, number];
    const sizes = {
      B,
      N,
      M: k!.shape[1]!,
      heads,
      d: q!.shape[2]! / heads,
      e: v!.shape[2]! / heads,
    };
    return values(
      attentionReference(q!.data, k!.data, v!.data, { ...sizes, scale, causal }),
      shape,
    );
  },
};

function scaleOf(attrs: Tensor["attrs"], weight?: Values, bias?: Values) {
  return {
    eps: attrs.eps as number,
    ...(weight && { weight: weight.data }),
    ...(bias && { bias: bias.data }),
  };
}
