/** Random graphs of all ops, with values of moderate size, and how exact their results must be. */
import {
  add,
  attention,
  concat,
  conv2d,
  div,
  embedding,
  expand,
  gelu,
  groupNorm,
  interpolate,
  layerNorm,
  linear,
  matmul,
  maxPool2d,
  mean,
  mul,
  pad,
  permute,
  relu,
  reshape,
  sigmoid,
  silu,
  slice,
  softmax,
  sub,
  type Tensor,
} from "../../engine/index.ts";
import { numel, type Shape } from "../../engine/shape.ts";
import { interpret, type Leaves } from "../reference/interpret.ts";
import type { Values } from "../reference/values.ts";
import { normalOperand, operand, parameterOperand } from "./operand.ts";
import { type Random, random } from "./random.ts";

export interface RandomGraph {
  /** Every tensor that is the result of an op, in order of creation. */
  readonly results: readonly Tensor[];
  /** Those that no other op reads. */
  readonly outputs: readonly Tensor[];
  readonly expected: ReadonlyMap<Tensor, Values>;
  readonly dtype: "f32" | "f16";
}

/** More elements make the reference slow, larger values leave the range in which halves are useful. */
const MAX_ELEMENTS = 4096;
const MAX_VALUE = 100;

export function randomGraph(seed: number, ops: number): RandomGraph {
  const builder = new GraphBuilder(random(seed));
  while (builder.results.length < ops) builder.grow();
  const read = new Set(builder.results.flatMap(({ inputs }) => Object.values(inputs)));
  const outputs = builder.results.filter((t) => !read.has(t));
  return { results: builder.results, outputs, expected: builder.expected, dtype: builder.dtype };
}

class GraphBuilder {
  readonly r: Random;
  readonly dtype: "f32" | "f16";
  readonly results: Tensor[] = [];
  readonly leaves = new Map<Parameters<Leaves["get"]>[0], Values>();
  readonly expected = new Map<Tensor, Values>();
  readonly #pool: Tensor[];

  constructor(r: Random) {
    this.r = r;
    this.dtype = r.pick(["f32", "f32", "f16"] as const);
    this.#pool = [
      this.picture(),
      this.leaf([r.int(1, 3), r.size(9), r.size(13)]),
      this.leaf(r.shape(2, 13)),
    ];
  }

  /** Adds a random op (or a few that belong together), unless it does not fit what is there. */
  grow(): void {
    const x = this.r.pick(this.#pool);
    const made = this.r.pick(MOTIFS)(x, this);
    if (!made || numel(made.shape) > MAX_ELEMENTS) return;
    const computed = interpret([made], this.leaves);
    if (![...computed.values()].every(isModerate)) return;
    for (const [t, v] of computed) {
      if (this.expected.has(t)) continue;
      this.expected.set(t, v);
      if (Object.keys(t.inputs).length > 0) this.results.push(t);
    }
    this.#pool.push(made);
  }

  picture(): Tensor {
    const { r } = this;
    return this.leaf([r.int(1, 2), r.size(7), r.size(7), r.pick([3, 4, 8, 12])]);
  }

  leaf(shape: Shape): Tensor {
    return normalOperand(this.r, shape, this.dtype).t;
  }

  /** A parameter as a file would have it, in any of the file's dtypes. */
  weight(shape: Shape, fanIn = 1): Tensor {
    const type = this.r.pick(["f32", "f16", "bf16"] as const);
    const data = this.r.normals(numel(shape), 1 / Math.sqrt(fanIn));
    const { t, v } = parameterOperand(data, shape, type, `weight ${this.leaves.size}`);
    this.leaves.set(t.attrs.source as never, v);
    return t;
  }

  /** Another tensor of the graph with this shape, or else a new leaf. */
  like(shape: Shape): Tensor {
    const fitting = this.#pool.filter((t) => t.shape.join() === shape.join());
    return fitting.length > 0 && this.r.uniform() < 0.7 ? this.r.pick(fitting) : this.leaf(shape);
  }
}

/** Sums of absolute values would grow without it. */
function isModerate({ data }: Values): boolean {
  return data.every((v) => Math.abs(v) <= MAX_VALUE);
}

type Motif = (x: Tensor, g: GraphBuilder) => Tensor | undefined;

const activate: Motif = (x, { r }) =>
  r.pick([
    silu,
    sigmoid,
    relu,
    (t: Tensor) => gelu(t),
    (t: Tensor) => gelu(t, { approximate: "tanh" }),
    (t: Tensor) => gelu(t, { approximate: "quick" }),
  ])(x);

const addScalar: Motif = (x, { r }) => r.pick([add, sub, mul, div])(x, r.pick([-1.5, 0.5, 2, 3]));

const combine: Motif = (x, g) => {
  const shape = x.shape
    .map((n) => (g.r.uniform() < 0.3 ? 1 : n))
    .slice(g.r.int(0, Math.max(0, x.shape.length - 1)));
  const other = g.like(g.r.uniform() < 0.5 ? x.shape : shape);
  return g.r.pick([add, sub, mul, add])(
    ...(g.r.uniform() < 0.5 ? ([x, other] as const) : ([other, x] as const)),
  );
};

// A divisor near zero would blow up every error.
const divide: Motif = (x, g) => div(x, add(sigmoid(g.like(x.shape)), 0.5));

const turn: Motif = (x, { r }) => {
  const axes = x.shape.map((_, axis) => axis);
  for (let i = axes.length - 1; i > 0; i--) {
    const j = r.int(0, i);
    [axes[i], axes[j]] = [axes[j]!, axes[i]!];
  }
  return permute(x, axes);
};

const cut: Motif = (x, { r }) => {
  const axis = r.int(0, x.shape.length - 1);
  const size = x.shape[axis]!;
  const start = r.pick([0, r.int(0, size - 1), 4 * r.int(0, Math.floor((size - 1) / 4))]);
  return slice(x, axis, start, r.int(start + 1, size));
};

const surround: Motif = (x, { r }) => {
  const padding = Array.from({ length: 2 * r.int(1, x.shape.length) }, () => r.int(0, 2));
  return pad(x, padding, r.pick([0, 1, -2]));
};

const repeat: Motif = (x, { r }) =>
  x.shape.length < 4
    ? expand(x, [r.int(2, 3), ...x.shape.map((n) => (n === 1 ? r.int(1, 5) : n))])
    : undefined;

const refold: Motif = (x, { r }) => {
  const at = r.int(0, x.shape.length - 1);
  return r.pick([
    () => reshape(x, [-1]),
    () => reshape(x, [...x.shape.slice(0, at), -1]),
    () => reshape(x, [-1, ...x.shape.slice(at)]),
  ])();
};

const join: Motif = (x, g) => {
  const axis = g.r.int(0, x.shape.length - 1);
  return concat([x, g.like(x.shape.with(axis, g.r.size(9)))], axis);
};

const average: Motif = (x, { r }) => {
  const dims = x.shape.map((_, axis) => axis).filter(() => r.uniform() < 0.4);
  return dims.length > 0 && dims.length < x.shape.length
    ? mean(x, dims, r.uniform() < 0.5)
    : undefined;
};

const share: Motif = (x, { r }) => softmax(x, r.int(0, x.shape.length - 1));

const look: Motif = (x, g) => {
  const [entries, width] = [g.r.size(13), x.shape.at(-1)!];
  const ids = operand(
    g.r.ints(numel(x.shape.slice(0, -1)), -1, entries),
    x.shape.slice(0, -1),
    "i32",
  );
  const rows = embedding(ids.t, g.weight([entries, width]));
  return rows.dtype === x.dtype ? add(x, rows) : undefined;
};

const project: Motif = (x, g) => {
  const [K, N] = [x.shape.at(-1)!, g.r.size(17)];
  const bias = g.r.uniform() < 0.5 ? g.weight([N]) : undefined;
  const y = linear(x, g.weight([N, K], K), bias);
  return g.r.pick([() => y, () => activate(y, g), () => add(y, g.like(y.shape))])();
};

const gated: Motif = (x, g) => {
  const [K, N] = [x.shape.at(-1)!, g.r.pick([4, 8, 3])];
  const both = linear(x, g.weight([2 * N, K], K), g.weight([2 * N]));
  return mul(slice(both, -1, 0, N), gelu(slice(both, -1, N)));
};

const multiply: Motif = (x, g) => {
  if (x.shape.length < 2) return undefined;
  const K = x.shape.at(-1)!;
  return matmul(
    x,
    div(
      g.leaf([...(g.r.uniform() < 0.5 ? x.shape.slice(0, -2) : []), K, g.r.size(13)]),
      Math.sqrt(K),
    ),
  );
};

const convolve: Motif = (x, g) => {
  if (x.shape.length !== 4) return undefined;
  const [B, , , I] = x.shape as [number, number, number, number];
  const [O, k] = [g.r.pick([I, 4, 7, 8]), g.r.pick([1, 3])];
  const bias = g.r.uniform() < 0.5 ? g.weight([O]) : undefined;
  const options = { padding: k === 3 ? 1 : 0, stride: g.r.pick([1, 1, 2]) };
  const y = conv2d(x, g.weight([O, I, k, k], I * k * k), bias, options);
  return g.r.pick([
    () => y,
    () => activate(y, g),
    () => add(y, g.like(y.shape)),
    () => add(add(y, reshape(g.leaf([B, O]), [B, 1, 1, O])), g.like(y.shape)),
  ])();
};

// A large eps keeps a constant row from blowing up its rounding errors.
const EPS = 0.1;

const normalise: Motif = (x, g) => {
  const C = x.shape.at(-1)!;
  const scale =
    g.r.uniform() < 0.7 ? ([g.weight([C]), g.weight([C])] as const) : ([null, null] as const);
  if (x.shape.length < 2 || g.r.uniform() < 0.5) return layerNorm(x, [C], scale[0], scale[1], EPS);
  const groups = g.r.pick([1, 2, 4, C].filter((n) => C % n === 0));
  const y = groupNorm(x, groups, scale[0], scale[1], EPS);
  return g.r.uniform() < 0.5 ? silu(y) : y;
};

/** As in a transformer: tokens (of a product, or not), their norm, a product of it, perhaps gated. */
const normThenProject: Motif = (x, g) => {
  const rows = g.r.uniform() < 0.6 ? (project(x, g) ?? x) : x;
  const C = rows.shape.at(-1)!;
  const weight = () => (g.r.uniform() < 0.7 ? g.weight([C]) : null);
  return g.r.pick([project, gated])(layerNorm(rows, [C], weight(), weight(), EPS), g);
};

/** As in a UNet on the way up: pictures beside each other, normalised, and themselves. */
const joinThenNorm: Motif = (x, g) => {
  const C = g.r.pick([4, 8]);
  if (x.shape.length < 3 || x.shape.at(-1)! % 4 !== 0) return undefined;
  const both = concat([x, g.like(x.shape.with(-1, C))], -1);
  const normed = groupNorm(both, g.r.pick([1, 2, 4]), null, null, EPS);
  return g.r.uniform() < 0.7 ? add(normed, both) : normed;
};

const attend: Motif = (x, g) => {
  if (x.shape.length !== 3) return undefined;
  const [B, , C] = x.shape as [number, number, number];
  const M = g.r.size(9);
  const heads = g.r.pick([1, 2, 4].filter((n) => C % n === 0));
  const width = heads * g.r.pick([1, 3, 4, 8]);
  return attention(x, g.like([B, M, C]), g.like([B, M, width]), heads, {
    isCausal: g.r.uniform() < 0.3,
  });
};

const resize: Motif = (x, { r }) =>
  x.shape.length === 4
    ? interpolate(x, {
        size: [r.size(9), r.size(9)],
        mode: r.pick(["nearest", "nearest", "bilinear", "bicubic"] as const),
      })
    : undefined;

const pool: Motif = (x, { r }) => {
  if (x.shape.length !== 4) return undefined;
  const k = r.int(1, Math.min(3, x.shape[1]!, x.shape[2]!));
  return maxPool2d(x, k, { stride: r.int(1, 2), padding: r.int(0, k - 1) });
};

const MOTIFS: readonly Motif[] = [
  activate,
  addScalar,
  combine,
  combine,
  divide,
  turn,
  cut,
  surround,
  repeat,
  refold,
  join,
  average,
  share,
  look,
  project,
  project,
  gated,
  multiply,
  convolve,
  convolve,
  normalise,
  normThenProject,
  joinThenNorm,
  attend,
  resize,
  pool,
];

/** Ops that sum up products pass on the errors of all their terms. */
const GAIN: Readonly<Record<string, number>> = {
  linear: 4,
  matmul: 4,
  conv2d: 4,
  attention: 2,
  binary: 2,
  interpolate: 2,
};

/** How many roundings to the graph's dtype an element of t may carry, and of values how large. */
export function exactness(t: Tensor, { expected, dtype }: RandomGraph) {
  let magnitude = 1;
  const roundings = (x: Tensor): number => {
    for (const v of expected.get(x)?.data ?? []) magnitude = Math.max(magnitude, Math.abs(v));
    const inputs = Object.values(x.inputs).map(roundings);
    // Weights are rounded to the dtype of what they are multiplied with.
    if (inputs.length === 0) return x.op === "parameter" ? 1 : 0;
    return 1 + (GAIN[x.op] ?? 1) * Math.max(...inputs);
  };
  return { dtype, terms: 256, roundings: Math.max(1, roundings(t)), magnitude };
}

/** The ops of a graph, one a line, to see what a failing seed is about. */
export function printGraph({ results }: RandomGraph): string {
  const name = (t: Tensor) => `%${t.id}`;
  return results
    .map((t) => {
      const inputs = Object.entries(t.inputs).map(
        ([key, x]) => `${key}=${results.includes(x) ? name(x) : `${x.op}[${x.shape}]`}`,
      );
      return `${name(t)} = ${t.op}(${inputs.join(", ")}) [${t.shape}] ${t.dtype} ${JSON.stringify(t.attrs)}`;
    })
    .join("\n");
}
