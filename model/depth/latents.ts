/** From a depth map at latent size to the channel that the UNet is given. */

export interface DepthLatents {
  /** [batch, height, width, 1], each picture from -1 (far) to 1 (near). */
  readonly data: Float32Array;
  /** Why pictures have no depth (all 0), if any has none. */
  readonly warning?: string;
}

/** Of the largest value. The weights of bicubic sum up to 1 within 2e-6: what that makes of a flat map is no relief. */
const FLAT = 2 ** -16;

/**
 * 2·(d - min) / (max - min) - 1 for each of `batch` pictures in a map of any scale. On the host, since a map
 * that is flat or not finite must be told; it gives zeros, which is neither near nor far.
 */
export function depthLatents(map: Float32Array, batch = 1): DepthLatents {
  const data = new Float32Array(map.length);
  const size = map.length / batch;
  const reasons = new Set<string>();
  for (let from = 0; from < map.length; from += size) {
    const picture = map.subarray(from, from + size);
    const range = rangeOf(picture);
    if (typeof range === "string") reasons.add(range);
    else data.set(between(picture, range), from);
  }
  if (reasons.size === 0) return { data };
  const why = [...reasons].join(", and ");
  return { data, warning: `the depth map ${why}: the picture is made without depth` };
}

/** Least and largest value, or what is wrong with them. */
function rangeOf(picture: Float32Array): readonly [number, number] | string {
  let min = Number.POSITIVE_INFINITY;
  let max = Number.NEGATIVE_INFINITY;
  for (const value of picture) {
    if (!Number.isFinite(value)) return "holds values that are not finite";
    min = Math.min(min, value);
    max = Math.max(max, value);
  }
  if (!Number.isFinite(Math.fround(max - min))) return "has too large a range";
  const largest = Math.max(Math.abs(min), Math.abs(max));
  return max - min > FLAT * largest ? [min, max] : "has the same depth everywhere";
}

/** In f32 at each step, as PyTorch. */
function between(picture: Float32Array, [min, max]: readonly [number, number]): Float32Array {
  const range = Math.fround(max - min);
  return picture.map((d) => Math.fround(Math.fround(2 * Math.fround(d - min)) / range) - 1);
}
