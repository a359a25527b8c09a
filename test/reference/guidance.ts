/** Guidance of pictures [B, h, w, 4] in float64. */
import { numel, type Shape } from "../../engine/shape.ts";
import { type Values, values } from "./values.ts";

/** u + scale·Σ wᵢ·(cᵢ − u) of the halves of m. */
export function guided(m: Values, shape: Shape, scale: number, weights: readonly number[]): Values {
  const count = numel(shape);
  const sum = (i: number) =>
    weights.reduce((total, w, n) => total + w * (m.data[(n + 1) * count + i]! - m.data[i]!), 0);
  return values(
    Float64Array.from({ length: count }, (_, i) => m.data[i]! + scale * sum(i)),
    shape,
  );
}

/** Applies `change` to each picture, or to each channel of each. */
function byGroup(
  x: Values,
  channels: boolean,
  change: (group: Float64Array, b: number) => number[],
) {
  const [batch] = x.shape as [number];
  const size = x.data.length / batch;
  const out = new Float64Array(x.data.length);
  const groups = channels ? 4 : 1;
  for (let g = 0; g < batch * groups; g++) {
    const start = Math.floor(g / groups) * size + (g % groups);
    const at = Array.from({ length: size / groups }, (_, i) => start + groups * i);
    const changed = change(
      Float64Array.from(at, (i) => x.data[i]!),
      g,
    );
    at.forEach((i, n) => {
      out[i] = changed[n]!;
    });
  }
  return values(out, x.shape);
}

export function mean(list: ArrayLike<number>): number {
  // Divided first: huge values have a mean too.
  return Array.from(list).reduce((sum, value) => sum + value / list.length, 0);
}

/** torch.std: the sum of squares is divided by count − 1. */
export function deviation(list: ArrayLike<number>): number {
  const centre = mean(list);
  const squares = Array.from(list).reduce((sum, value) => sum + (value - centre) ** 2, 0);
  return Math.sqrt(squares / (list.length - 1));
}

export function picture(x: Values, b: number): Float64Array {
  const size = x.data.length / x.shape[0]!;
  return x.data.slice(b * size, (b + 1) * size);
}

/** Lin et al. 2023, eq. 15 and 16; a picture of one value stays. */
export function rescaled(guided: Values, condition: Values, phi: number): Values {
  return byGroup(guided, false, (group, b) => {
    const spread = deviation(group);
    const ratio = spread === 0 ? 1 : deviation(picture(condition, b)) / spread;
    return Array.from(group, (value) => phi * value * ratio + (1 - phi) * value);
  });
}

/** torch.quantile of |value − centre|. */
export function quantile(list: ArrayLike<number>, ratio: number, centre = 0): number {
  const sorted = Float64Array.from(list, (value) => Math.abs(value - centre)).sort();
  const rank = Math.fround(Math.fround(ratio) * (sorted.length - 1));
  const below = Math.floor(rank);
  const [low, high] = [sorted[below]!, sorted[Math.min(below + 1, sorted.length - 1)]!];
  return low + (rank - below) * (high - low);
}

const clamp = (value: number, limit: number) => Math.min(limit, Math.max(-limit, value));

/** Saharia et al. 2022, section 2.3, as diffusers bounds the threshold. */
export function thresholded(clean: Values, ratio: number, most: number): Values {
  return byGroup(clean, false, (group) => {
    const limit = Math.min(most, Math.max(1, quantile(group, ratio)));
    return Array.from(group, (value) => clamp(value, limit) / limit);
  });
}

/** Each channel around its mean, drawn to the spread of the same channel of `other`. */
export function mimicked(clean: Values, other: Values, ratio: number): Values {
  const targets: number[] = [];
  byGroup(other, true, (group) => {
    const centre = mean(group);
    targets.push(Math.max(...group.map((value) => Math.abs(value - centre))));
    return [];
  });
  return byGroup(clean, true, (group, g) => {
    const centre = mean(group);
    const limit = Math.max(targets[g]!, quantile(group, ratio, centre));
    const share = limit === 0 ? 0 : targets[g]! / limit;
    return Array.from(group, (value) => clamp(value - centre, limit) * share + centre);
  });
}
