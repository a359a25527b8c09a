/** Depth maps: relative inverse depth in any unit, near is large (MiDaS, DPT). */
import { DiffusionError } from "../../engine/errors.ts";

export interface DepthMap {
  readonly width: number;
  readonly height: number;
  /** Rows from the top. */
  readonly data: Float32Array;
}

/**
 * A depth map that can be stretched to -1..1, and warnings. Values that are not finite become the
 * farthest; a map that is flat, which says nothing, becomes zeros: its range is no divisor.
 * Throws IMAGE_SIZE where data, width and height do not fit.
 */
export function checkDepth(depth: DepthMap): { depth: DepthMap; warnings: string[] } {
  const { width, height, data } = depth;
  if (!(width > 0 && height > 0) || data.length !== width * height)
    throw new DiffusionError(
      "IMAGE_SIZE",
      `the depth map is ${width}x${height} with ${data.length} values`,
    );
  const { least, most, bad } = rangeOf(data);
  const warnings: string[] = [];
  if (bad > 0)
    warnings.push(`the depth map has ${bad} values that are not finite: taken as the farthest`);
  if (least < most) {
    const clean = bad > 0 ? data.map((x) => (Number.isFinite(x) ? x : least)) : data;
    return { depth: { width, height, data: clean }, warnings };
  }
  warnings.push("the depth map has one depth everywhere: it is taken as zeros");
  return { depth: { width, height, data: new Float32Array(data.length) }, warnings };
}

function rangeOf(data: Float32Array): { least: number; most: number; bad: number } {
  let least = Number.POSITIVE_INFINITY;
  let most = Number.NEGATIVE_INFINITY;
  let bad = 0;
  for (const x of data) {
    if (!Number.isFinite(x)) bad++;
    else {
      if (x < least) least = x;
      if (x > most) most = x;
    }
  }
  return { least, most, bad };
}
