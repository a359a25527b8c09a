/**
 * What a case must give, in float64 and term by term as the definition has it, at positions spread over the
 * result: a result that is wrong anywhere in a systematic way is wrong there too, and all of it would take minutes.
 */
import { EPS, type OpCase } from "./cases.ts";
import { type Operands, outputShape } from "./operands.ts";

/** An engine's result counts as right up to this share of the largest value (f32, or f16 with f32 sums). */
export const TOLERANCE = { f32: 1e-4, f16: 5e-3 } as const;

const SAMPLES = 256;

/** max|Δ| / max|reference| over the samples; infinite for another number of values, or one that is no number. */
export function sampledError(c: OpCase, given: Operands, output: ArrayLike<number>): number {
  const count = outputShape(c).reduce((a, b) => a * b, 1);
  if (output.length !== count) return Number.POSITIVE_INFINITY;
  const at = expected(c, given);
  let [error, size] = [0, 0];
  for (const i of positions(count)) {
    const wanted = at(i);
    const off = Math.abs(output[i]! - wanted);
    error = Math.max(error, Number.isNaN(off) ? Number.POSITIVE_INFINITY : off);
    size = Math.max(size, Math.abs(wanted));
  }
  return error / size;
}

/** Both ends, and steps between that share no factor with the usual sizes. */
function positions(count: number): number[] {
  const step = Math.max(1, Math.floor(count / SAMPLES) | 1);
  const found = Array.from({ length: SAMPLES }, (_, n) => n * step).filter((i) => i < count);
  return [...found, count - 1];
}

/** The value at a flat index of the result. */
function expected(c: OpCase, given: Operands): (index: number) => number {
  const of = (name: string) => given[name]!.data;
  switch (c.op) {
    case "conv2d":
      return (i) => convolved(c, of("x"), of("weight"), of("bias"), i);
    case "linear":
      return (i) => row(c.inputs, of("x"), of("weight"), of("bias"), i / c.outputs, i % c.outputs);
    case "geglu":
      return (i) => {
        const column = i % c.outputs;
        const [value, gate] = [column, column + c.outputs].map((n) =>
          row(c.inputs, of("x"), of("weight"), of("bias"), i / c.outputs, n),
        );
        return value! * gelu(gate!);
      };
    case "attention":
      return (i) => attended(c, of("q"), of("k"), of("v"), i);
    case "group_norm_silu":
      return (i) => normed(c, of("x"), of("weight"), of("bias"), i);
  }
}

type Sized<Op extends OpCase["op"]> = Extract<OpCase, { op: Op }>;
type Data = Float32Array;

function convolved(c: Sized<"conv2d">, x: Data, weight: Data, bias: Data, index: number): number {
  const { side, inputs, outputs } = c;
  const out = index % outputs;
  const [h, w] = [Math.floor(index / outputs / side), Math.floor(index / outputs) % side];
  let sum = bias[out]!;
  for (let tap = 0; tap < 9; tap++) {
    const [y, z] = [h + Math.floor(tap / 3) - 1, w + (tap % 3) - 1];
    if (y < 0 || y >= side || z < 0 || z >= side) continue;
    for (let n = 0; n < inputs; n++) {
      sum += x[(y * side + z) * inputs + n]! * weight[(out * inputs + n) * 9 + tap]!;
    }
  }
  return sum;
}

function row(K: number, x: Data, weight: Data, bias: Data, place: number, column: number): number {
  const start = Math.floor(place) * K;
  let sum = bias[column]!;
  for (let k = 0; k < K; k++) sum += x[start + k]! * weight[column * K + k]!;
  return sum;
}

function attended(c: Sized<"attention">, q: Data, k: Data, v: Data, index: number): number {
  const width = c.heads * c.dim;
  const [query, channel] = [Math.floor(index / width), index % width];
  const head = Math.floor(channel / c.dim) * c.dim;
  const scores = Array.from({ length: c.keys }, (_, key) => {
    let sum = 0;
    for (let d = head; d < head + c.dim; d++) sum += q[query * width + d]! * k[key * width + d]!;
    return sum / Math.sqrt(c.dim);
  });
  const most = Math.max(...scores);
  const powers = scores.map((score) => Math.exp(score - most));
  const total = powers.reduce((a, b) => a + b, 0);
  return powers.reduce((sum, power, key) => sum + power * v[key * width + channel]!, 0) / total;
}

function normed(
  c: Sized<"group_norm_silu">,
  x: Data,
  weight: Data,
  bias: Data,
  index: number,
): number {
  const channel = index % c.channels;
  const each = c.channels / c.groups;
  const first = Math.floor(channel / each) * each;
  const group: number[] = [];
  for (let p = 0; p < c.side ** 2; p++) {
    for (let n = first; n < first + each; n++) group.push(x[p * c.channels + n]!);
  }
  const mean = group.reduce((a, b) => a + b, 0) / group.length;
  const variance = group.reduce((sum, value) => sum + (value - mean) ** 2, 0) / group.length;
  const y = ((x[index]! - mean) / Math.sqrt(variance + EPS)) * weight[channel]! + bias[channel]!;
  return y / (1 + Math.exp(-y));
}

/** x · Φ(x), by erf. */
const gelu = (x: number): number => (x / 2) * (1 + erf(x / Math.SQRT2));

/** 2x/√π · exp(-x²) · Σ (2x²)ⁿ / (1·3·…·(2n+1)): all terms of one sign (Abramowitz and Stegun 7.1.6). */
function erf(x: number): number {
  if (Math.abs(x) > 6) return Math.sign(x);
  let [term, sum] = [1, 1];
  for (let n = 1; term > 1e-17 * sum; n++) {
    term *= (2 * x * x) / (2 * n + 1);
    sum += term;
  }
  return ((2 * x) / Math.sqrt(Math.PI)) * Math.exp(-x * x) * sum;
}
