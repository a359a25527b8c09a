/** A problem as a graph of one op, for measuring: its operands hold nothing in particular. */
import type { DType } from "../dtype.ts";
import { attention, cast, conv2d, gelu, linear, matmul, mul, split } from "../ops/index.ts";
import { numel } from "../shape.ts";
import { input, parameter, type Tensor } from "../tensor.ts";
import type { Problem } from "./choices.ts";

export function problemGraph(problem: Problem): Tensor {
  const dtype = problem.dtype as DType;
  switch (problem.op) {
    case "linear": {
      const { batch, M, N, K, gated } = problem;
      const x = input("x", [batch, M, K], dtype);
      if (batch > 1) return matmul(x, input("w", [batch, K, N], dtype));
      const y = linear(x, weight([N, K], dtype));
      if (!gated) return y;
      const [value, gate] = split(y, N / 2, -1);
      return mul(value!, gelu(gate!));
    }
    case "conv2d": {
      const { batch, inHeight, inWidth, inChannels, outChannels, kernel, stride } = problem;
      const x = input("x", [batch, inHeight, inWidth, inChannels], dtype);
      // Any padding costs the same; this one leaves a picture's size as it is.
      const padding = [Math.floor(kernel[0] / 2), Math.floor(kernel[1] / 2)] as const;
      return conv2d(x, weight([outChannels, inChannels, ...kernel], dtype), undefined, {
        stride: [...stride],
        padding: [...padding],
      });
    }
    case "attention": {
      const { batch, heads, queries, keys, d, e, causal } = problem;
      const part = (name: string, rows: number, width: number) =>
        input(name, [batch, rows, heads * width], dtype);
      const [q, k, v] = [part("q", queries, d), part("k", keys, d), part("v", keys, e)];
      return attention(q, k, v, heads, { isCausal: causal });
    }
  }
}

/** Zeros: GPUs multiply them no faster than other numbers. */
function weight(shape: readonly number[], dtype: DType): Tensor {
  const name = `zeros ${shape}`;
  const read = async (_offset: number, length: number) => new Uint8Array(length);
  return cast(
    parameter({ name, type: numel(shape) % 2 === 0 ? "f16" : "f32", shape, read }),
    dtype,
  );
}
