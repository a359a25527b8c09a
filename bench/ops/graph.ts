/** A case as a graph of our engine, as the model would write it. */
import {
  attention,
  cast,
  conv2d,
  type DType,
  gelu,
  groupNorm,
  input,
  linear,
  mul,
  parameter,
  silu,
  split,
  type Tensor,
} from "../../engine/index.ts";
import { EPS, type OpCase } from "./cases.ts";
import { type Operand, type Operands, WEIGHTS } from "./operands.ts";

/** The result, computed in `dtype`; inputs bear the operands' names. */
export function caseGraph(c: OpCase, given: Operands, dtype: DType): Tensor {
  const leaves = Object.entries(given).map(([name, operand]) => [
    name,
    WEIGHTS.includes(name) ? weight(name, operand, dtype) : batched(name, operand, dtype),
  ]);
  return build(c, Object.fromEntries(leaves));
}

function build(c: OpCase, t: Readonly<Record<string, Tensor>>): Tensor {
  switch (c.op) {
    case "conv2d":
      return conv2d(t.x!, t.weight!, t.bias, { padding: 1 });
    case "linear":
      return linear(t.x!, t.weight!, t.bias);
    case "geglu": {
      const [value, gate] = split(linear(t.x!, t.weight!, t.bias), c.outputs, -1);
      return mul(value!, gelu(gate!));
    }
    case "attention":
      return attention(t.q!, t.k!, t.v!, c.heads);
    case "group_norm_silu":
      return silu(groupNorm(t.x!, c.groups, t.weight, t.bias, EPS));
  }
}

/** Tokens get the batch axis that the model has: [1, N, C]. */
function batched(name: string, { shape }: Operand, dtype: DType): Tensor {
  return input(name, shape.length === 2 ? [1, ...shape] : shape, dtype);
}

function weight(name: string, { shape, data }: Operand, dtype: DType): Tensor {
  const bytes = new Uint8Array(data.buffer);
  const read = async (offset: number, length: number) => bytes.subarray(offset, offset + length);
  return cast(parameter({ name, type: "f32", shape, read }), dtype);
}
