/** Matrix products in float64. */
import { broadcastShapes } from "../../engine/shape.ts";
import { type Values, values } from "./values.ts";

/** x [..., K] · weight [N, K]ᵀ + bias [N] -> [..., N]. */
export function linear(x: Values, weight: Values, bias?: Values): Values {
  const [N, K] = weight.shape as [number, number];
  const rows = x.data.length / K;
  const out = new Float64Array(rows * N);
  for (let m = 0; m < rows; m++) {
    for (let n = 0; n < N; n++) {
      let sum = bias ? bias.data[n]! : 0;
      for (let k = 0; k < K; k++) sum += x.data[m * K + k]! * weight.data[n * K + k]!;
      out[m * N + n] = sum;
    }
  }
  return values(out, [...x.shape.slice(0, -1), N]);
}

/** a [..., M, K] · b [..., K, N] -> [..., M, N], leading axes broadcast. */
export function matmul(a: Values, b: Values): Values {
  const [M, K] = a.shape.slice(-2) as [number, number];
  const N = b.shape.at(-1)!;
  const lead = broadcastShapes("matmul", a.shape.slice(0, -2), b.shape.slice(0, -2));
  const batches = lead.reduce((product, n) => product * n, 1);
  const out = new Float64Array(batches * M * N);
  for (let batch = 0; batch < batches; batch++) {
    const a0 = batchOffset(batch, lead, a.shape.slice(0, -2)) * M * K;
    const b0 = batchOffset(batch, lead, b.shape.slice(0, -2)) * K * N;
    for (let m = 0; m < M; m++) {
      for (let n = 0; n < N; n++) {
        let sum = 0;
        for (let k = 0; k < K; k++) sum += a.data[a0 + m * K + k]! * b.data[b0 + k * N + n]!;
        out[(batch * M + m) * N + n] = sum;
      }
    }
  }
  return values(out, [...lead, M, N]);
}

/** Which of an operand's own matrices a batch of the result uses. */
function batchOffset(batch: number, lead: readonly number[], own: readonly number[]): number {
  let rest = batch;
  let offset = 0;
  let step = 1;
  for (let axis = lead.length - 1; axis >= 0; axis--) {
    const i = rest % lead[axis]!;
    rest = Math.floor(rest / lead[axis]!);
    const size = own[axis - lead.length + own.length] ?? 1;
    offset += (size === 1 ? 0 : i) * step;
    step *= size;
  }
  return offset;
}
