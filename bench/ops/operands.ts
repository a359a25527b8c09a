/** The operands of a case: the same numbers in every process and for every engine, without a file. */
import type { OpCase } from "./cases.ts";

/** Shapes are ours: pictures [1, H, W, C], tokens [N, C]; weights as PyTorch has them. */
export interface Operand {
  readonly shape: readonly number[];
  readonly data: Float32Array;
}

export type Operands = Readonly<Record<string, Operand>>;

/** Numbers of both signs, evenly spread; weights are small enough that results are of the order of 1. */
export function operands(c: OpCase): Operands {
  switch (c.op) {
    case "conv2d":
      return {
        x: random(1, [1, c.side, c.side, c.inputs], 1),
        weight: random(2, [c.outputs, c.inputs, 3, 3], Math.sqrt(3 / (9 * c.inputs))),
        bias: random(3, [c.outputs], 0.5),
      };
    case "linear":
    case "geglu": {
      const columns = c.op === "geglu" ? 2 * c.outputs : c.outputs;
      return {
        x: random(1, [c.rows, c.inputs], 1),
        weight: random(2, [columns, c.inputs], Math.sqrt(3 / c.inputs)),
        bias: random(3, [columns], 0.5),
      };
    }
    case "attention":
      return {
        q: random(1, [c.queries, c.heads * c.dim], 2),
        k: random(2, [c.keys, c.heads * c.dim], 2),
        v: random(3, [c.keys, c.heads * c.dim], 1),
      };
    case "group_norm_silu":
      return {
        x: random(1, [1, c.side, c.side, c.channels], 3),
        weight: random(2, [c.channels], 1),
        bias: random(3, [c.channels], 0.5),
      };
  }
}

/** Names of the operands that are weights: known before a run, so an engine may rearrange them. */
export const WEIGHTS: readonly string[] = ["weight", "bias"];

export function outputShape(c: OpCase): readonly number[] {
  switch (c.op) {
    case "conv2d":
      return [1, c.side, c.side, c.outputs];
    case "linear":
    case "geglu":
      return [c.rows, c.outputs];
    case "attention":
      return [c.queries, c.heads * c.dim];
    case "group_norm_silu":
      return [1, c.side, c.side, c.channels];
  }
}

/** xorshift32 (Marsaglia 2003): even in -scale..scale. */
function random(seed: number, shape: readonly number[], scale: number): Operand {
  let state = Math.imul(seed, 0x9e3779b1) | 1;
  const data = new Float32Array(shape.reduce((a, b) => a * b, 1));
  for (let i = 0; i < data.length; i++) {
    state ^= state << 13;
    state ^= state >>> 17;
    state ^= state << 5;
    data[i] = (state / 2 ** 31) * scale;
  }
  return { shape, data };
}
