/** Convolution in float64, term by term as the definition has it. */
import type { Padding } from "../../engine/index.ts";
import { generate, get, type Values } from "./values.ts";

export interface ConvGeometry {
  readonly stride: readonly [number, number];
  readonly padding: Padding;
}

/** x [B, H, W, I], weight [O, I, kh, kw], bias [O] -> [B, P, Q, O]. */
export function conv2d(
  x: Values,
  weight: Values,
  bias: Values | undefined,
  g: ConvGeometry,
): Values {
  const [batch, height, width] = x.shape as [number, number, number, number];
  const [out, , kh, kw] = weight.shape as [number, number, number, number];
  const [top, bottom, left, right] = g.padding;
  const rows = Math.floor((height + top + bottom - kh) / g.stride[0]) + 1;
  const columns = Math.floor((width + left + right - kw) / g.stride[1]) + 1;
  return generate([batch, rows, columns, out], ([b, p, q, o]) => {
    let sum = bias ? bias.data[o!]! : 0;
    for (let i = 0; i < kh; i++) {
      for (let j = 0; j < kw; j++) {
        const h = p! * g.stride[0] + i - top;
        const w = q! * g.stride[1] + j - left;
        if (h < 0 || h >= height || w < 0 || w >= width) continue;
        sum += pixel(x, weight, [b!, h, w], [o!, i, j]);
      }
    }
    return sum;
  });
}

/** The sum over the channels of one pixel, for one place in the kernel. */
function pixel(
  x: Values,
  weight: Values,
  [b, h, w]: readonly [number, number, number],
  [o, i, j]: readonly [number, number, number],
): number {
  let sum = 0;
  for (let c = 0; c < x.shape[3]!; c++) sum += get(x, [b, h, w, c]) * get(weight, [o, c, i, j]);
  return sum;
}
