/** Pooling in float64, by the definition. */
import type { Padding } from "../../engine/index.ts";
import { generate, get, type Values } from "./values.ts";

export interface PoolGeometry {
  readonly kernel: readonly [number, number];
  readonly stride: readonly [number, number];
  readonly padding: Padding;
}

/** The largest value in each window: x [B, H, W, C] -> [B, P, Q, C]. */
export function maxPool2d(x: Values, { kernel, stride, padding }: PoolGeometry): Values {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const [top, bottom, left, right] = padding;
  const rows = Math.floor((height + top + bottom - kernel[0]) / stride[0]) + 1;
  const columns = Math.floor((width + left + right - kernel[1]) / stride[1]) + 1;
  return generate([batch, rows, columns, channels], ([b, p, q, c]) => {
    let largest = Number.NEGATIVE_INFINITY;
    for (let i = 0; i < kernel[0]; i++) {
      for (let j = 0; j < kernel[1]; j++) {
        const h = p! * stride[0] + i - top;
        const w = q! * stride[1] + j - left;
        if (h < 0 || h >= height || w < 0 || w >= width) continue;
        largest = Math.max(largest, get(x, [b!, h, w, c!]));
      }
    }
    return largest;
  });
}
