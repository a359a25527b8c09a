/**
 * Fusion: rewrite rules that merge an op into the only producer of its input. Each rule is one row,
 * tested by "the fused plan equals the unfused plan".
 */
import { countUses, type Outputs, rebuild, standIn, withInputs } from "./graph.ts";
import { channels, sameShape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

export interface FusionRule {
  readonly name: string;
  /** What replaces t, or undefined. `uses(x)` says how many tensors read x. */
  readonly apply: (t: Tensor, uses: (x: Tensor) => number) => Tensor | undefined;
}

const PRODUCTS = new Set(["linear", "conv2d"]);

/** linear or conv2d, read by nobody else, to which `extra` has not been added yet. */
function product(
  x: Tensor | undefined,
  uses: (x: Tensor) => number,
  extras: readonly string[],
): x is Tensor {
  if (!x || !PRODUCTS.has(x.op) || uses(x) !== 1 || x.attrs.gated) return false;
  return extras.every((name) => x.inputs[name] === undefined && x.attrs[name] === undefined);
}

/** silu(linear), gelu(linear), relu(conv2d), …: the activation runs on the sum before it is stored. */
const activation: FusionRule = {
  name: "activation",
  apply(t, uses) {
    const fn = t.attrs.fn as string;
    const x = t.inputs.x;
    if (t.op !== "unary" || !["silu", "gelu", "gelu_tanh", "gelu_quick", "relu"].includes(fn))
      return undefined;
    if (!product(x, uses, ["activation", "residual"])) return undefined;
    return { ...withInputs(x, x.inputs, { ...x.attrs, activation: fn }), id: t.id };
  },
};

/** product · number: a factor on the sum before it is stored, so that halves do not overflow in between. */
const scale: FusionRule = {
  name: "scale",
  apply(t, uses) {
    const x = t.inputs.x;
    if (t.op !== "unary" || t.attrs.fn !== "scalar_mul") return undefined;
    if (!product(x, uses, ["scale", "activation", "residual"])) return undefined;
    return { ...withInputs(x, x.inputs, { ...x.attrs, scale: t.attrs.scalar }), id: t.id };
  },
};

/** silu(group_norm): one pass instead of two. */
const normActivation: FusionRule = {
  name: "norm-activation",
  apply(t, uses) {
    const x = t.inputs.x;
    if (t.op !== "unary" || t.attrs.fn !== "silu") return undefined;
    if (x?.op !== "group_norm" || uses(x) !== 1 || x.attrs.activation) return undefined;
    return { ...withInputs(x, x.inputs, { ...x.attrs, activation: "silu" }), id: t.id };
  },
};

/**
 * linear(layer_norm(x)): the weights take in the norm's, and what is left are two numbers a row, which the product
 * that made x can tell as it stores it.
 */
const rowNorm: FusionRule = {
  name: "row-norm",
  apply(t, uses) {
    const { x: norm, ...inputs } = t.inputs;
    if (t.op !== "linear" || norm?.op !== "layer_norm" || uses(norm) !== 1) return undefined;
    const { x, weight: gamma, bias: beta } = norm.inputs;
    const weights = [inputs.weight, inputs.bias, gamma, beta];
    if (!weights.every((weight) => !weight || isConstant(weight))) return undefined;
    const all = { ...inputs, x: x!, ...(gamma && { gamma }), ...(beta && { beta }) };
    return { ...withInputs(t, all, { ...t.attrs, normEps: norm.attrs.eps }), id: t.id };
  },
};

/** Whether t depends on parameters alone: what is made of it is made once. */
function isConstant(t: Tensor): boolean {
  const inputs = Object.values(t.inputs);
  return t.op === "parameter" || (inputs.length > 0 && inputs.every(isConstant));
}

/** conv2d(x) + time[B, 1, 1, C]: one more bias, per picture. */
const rowBias: FusionRule = {
  name: "row-bias",
  apply(t, uses) {
    const { a, b } = t.inputs;
    if (t.op !== "binary" || t.attrs.fn !== "add" || b?.op !== "reshape") return undefined;
    if (!product(a, uses, ["rowBias", "scale", "activation", "residual"])) return undefined;
    const x = b.inputs.x!;
    const [batch, ...rest] = b.shape;
    const perPicture =
      sameShape(t.shape, a.shape) &&
      b.shape.length === t.shape.length &&
      (batch === 1 || batch === t.shape[0]) &&
      rest.slice(0, -1).every((size) => size === 1) &&
      channels(b.shape) === channels(t.shape) &&
      sameShape(x.shape, [batch!, channels(t.shape)]);
    if (!perPicture) return undefined;
    return { ...withInputs(a, { ...a.inputs, rowBias: x }), id: t.id };
  },
};

/** product + x: the residual is added as the product is stored. */
const residual: FusionRule = {
  name: "residual",
  apply(t, uses) {
    if (t.op !== "binary" || t.attrs.fn !== "add") return undefined;
    const { a, b } = t.inputs as { a: Tensor; b: Tensor };
    if (!sameShape(a.shape, b.shape) || a === b) return undefined;
    const [into, other] = product(a, uses, ["residual"]) ? [a, b] : [b, a];
    if (!product(into, uses, ["residual"])) return undefined;
    return { ...withInputs(into, { ...into.inputs, residual: other }), dtype: t.dtype, id: t.id };
  },
};

/** value · gelu(gate) of the two halves of one linear: GEGLU, which stores half the width. */
const geglu: FusionRule = {
  name: "geglu",
  apply(t, uses) {
    if (t.op !== "binary" || t.attrs.fn !== "mul") return undefined;
    const { a: value, b: activated } = t.inputs as { a: Tensor; b: Tensor };
    if (activated.op !== "unary" || activated.attrs.fn !== "gelu") return undefined;
    const gate = activated.inputs.x!;
    const both = value.inputs.x;
    if (!both || !isHalf(value, both, 0) || !isHalf(gate, both, 1)) return undefined;
    const single = [value, activated, gate].every((x) => uses(x) === 1) && uses(both) === 2;
    const extras = ["residual", "rowBias", "scale", "activation"];
    const finished = extras.some((name) => both.inputs[name] || both.attrs[name] !== undefined);
    if (both.op !== "linear" || !single || finished) return undefined;
    const fused = withInputs(both, both.inputs, { ...both.attrs, gated: true });
    return { ...fused, shape: t.shape, id: t.id };
  },
};

/** Whether t is the first or second half of the channels of x, on vec4 borders. */
function isHalf(t: Tensor, x: Tensor, which: 0 | 1): boolean {
  const half = channels(x.shape) / 2;
  const { axis, start } = t.attrs as { axis: number; start: number };
  return (
    t.op === "slice" &&
    t.inputs.x === x &&
    half % 4 === 0 &&
    axis === x.shape.length - 1 &&
    start === which * half &&
    channels(t.shape) === half
  );
}

/**
 * conv2d of a picture enlarged by nearest neighbours: it reads the small one. For twice the size (or one
 * less) dst · in / out in whole numbers is PyTorch's floor(dst · scale) exactly.
 */
const upsample: FusionRule = {
  name: "upsample",
  apply(t, uses) {
    const x = t.inputs.x;
    if (t.op !== "conv2d" || x?.op !== "interpolate" || x.attrs.mode !== "nearest")
      return undefined;
    const small = x.inputs.x!;
    const doubled = [1, 2].every((axis) => {
      const missing = 2 * small.shape[axis]! - x.shape[axis]!;
      return missing === 0 || missing === 1;
    });
    if (!doubled || uses(x) !== 1) return undefined;
    const upsampled = [x.shape[1]!, x.shape[2]!];
    return { ...withInputs(t, { ...t.inputs, x: small }, { ...t.attrs, upsampled }), id: t.id };
  },
};

export const FUSIONS: readonly FusionRule[] = [
  upsample,
  scale,
  activation,
  normActivation,
  rowNorm,
  rowBias,
  residual,
  geglu,
];

/** The outputs with every rule applied, from the leaves up, as often as it fits. */
export function fuse(outputs: Outputs, rules: readonly FusionRule[] = FUSIONS): Outputs {
  const uses = countUses(outputs);
  const usesOf = (x: Tensor) => uses.get(x) ?? 0;
  return rebuild(outputs, (t, original) => {
    const fused = standIn(applyAll(t, rules, usesOf), original);
    if (fused !== original) uses.set(fused, usesOf(original));
    return fused;
  });
}

function applyAll(t: Tensor, rules: readonly FusionRule[], uses: (x: Tensor) => number): Tensor {
  for (const { apply } of rules) {
    const next = apply(t, uses);
    if (next) return applyAll(next, rules, uses);
  }
  return t;
}
