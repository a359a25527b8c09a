/** interpolate in float64 (the positions of "nearest" in float32, as PyTorch has them). */
import { generate, get, type Values } from "./values.ts";

export interface Resizing {
  readonly mode: "nearest" | "bilinear" | "bicubic";
  readonly alignCorners?: boolean;
  readonly scaleFactor?: number | undefined;
}

export function interpolate(x: Values, size: readonly [number, number], how: Resizing): Values {
  const [batch, height, width, channels] = x.shape as [number, number, number, number];
  const vertical = Array.from({ length: size[0] }, (_, i) => taps(i, height, size[0], how));
  const horizontal = Array.from({ length: size[1] }, (_, i) => taps(i, width, size[1], how));
  return generate([batch, ...size, channels], ([b, i, j, c]) => {
    let sum = 0;
    for (const [m, v] of vertical[i!]!) {
      for (const [n, h] of horizontal[j!]!) sum += v * h * get(x, [b!, m, n, c!]);
    }
    return sum;
  });
}

type Tap = readonly [index: number, weight: number];

function taps(i: number, from: number, to: number, how: Resizing): Tap[] {
  const inside = (index: number) => Math.min(Math.max(index, 0), from - 1);
  const ratio = how.scaleFactor ? 1 / how.scaleFactor : from / to;
  if (how.mode === "nearest") return [[inside(Math.floor(Math.fround(i * Math.fround(ratio)))), 1]];
  const scale = how.alignCorners ? (to > 1 ? (from - 1) / (to - 1) : 0) : ratio;
  const position = how.alignCorners ? i * scale : (i + 0.5) * scale - 0.5;
  if (how.mode === "bilinear") {
    const p = Math.max(position, 0);
    const first = Math.floor(p);
    const t = p - first;
    return [
      [inside(first), 1 - t],
      [inside(first + 1), t],
    ];
  }
  const first = Math.floor(position);
  return [-1, 0, 1, 2].map((k) => [inside(first + k), keys(Math.abs(position - first - k))]);
}

/** Keys 1981, equation 4, with a = -0.75. */
function keys(t: number): number {
  const a = -0.75;
  if (t < 1) return (a + 2) * t ** 3 - (a + 3) * t ** 2 + 1;
  return t < 2 ? a * (t ** 3 - 5 * t ** 2 + 8 * t - 4) : 0;
}
