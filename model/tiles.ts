/**
 * diffusers' tiled VAE (`enable_vae_tiling`): overlapping tiles, each through the whole network by itself, their
 * edges blended. It bounds memory whatever the size; as every tile has group norms of its own, the result is
 * near that of the whole picture and not the same.
 */
import { add, concat, mul, slice, type Tensor, tensor } from "../engine/index.ts";
import type { VaeConfig } from "./config.ts";

/** All in pixels; a tile and the steps between tiles in what goes in, the rest in what comes out. */
export interface Tiling {
  readonly tile: number;
  readonly step: number;
  /** Over so many rows and columns a tile takes over from its neighbour. */
  readonly blend: number;
  /** So many rows and columns of a tile are kept: the next tile goes on there. */
  readonly kept: number;
}

const OVERLAP = 0.25;

/** Tiles of latents: `sample_size` pixels, a quarter of which overlaps. */
export function decodeTiling(config: VaeConfig): Tiling {
  const { latent, picture } = tileSides(config);
  const blend = picture * OVERLAP;
  return { tile: latent, step: latent * (1 - OVERLAP), blend, kept: picture - blend };
}

/** Tiles of a picture that is encoded. */
export function encodeTiling(config: VaeConfig): Tiling {
  const { latent, picture } = tileSides(config);
  const blend = latent * OVERLAP;
  return { tile: picture, step: picture * (1 - OVERLAP), blend, kept: latent - blend };
}

/** A quarter of a tile must be whole latents; diffusers' own tiles do not meet where it is not. */
function tileSides({ sampleSize, blockOutChannels }: VaeConfig) {
  const factor = 2 ** (blockOutChannels.length - 1);
  const latent = Math.max(4, Math.floor(sampleSize / factor / 4) * 4);
  return { latent, picture: latent * factor };
}

/** `run` on the tiles of x [B, H, W, C], put together; on x itself where one tile holds it. */
export function tiled(x: Tensor, tiling: Tiling, run: (tile: Tensor) => Tensor): Tensor {
  const { tile, step, blend, kept } = tiling;
  const [, height, width] = x.shape as [number, number, number];
  if (height <= tile && width <= tile) return run(x);
  const lines: Tensor[] = [];
  let above: Tensor[] = [];
  for (let top = 0; top < height; top += step) {
    const row: Tensor[] = [];
    for (let left = 0; left < width; left += step) {
      let own = run(slice(slice(x, 1, top, top + tile), 2, left, left + tile));
      if (above.length > 0) own = blended(above[row.length]!, own, 1, blend);
      if (row.length > 0) own = blended(row.at(-1)!, own, 2, blend);
      row.push(own);
    }
    lines.push(
      concat(
        row.map((t) => slice(slice(t, 1, 0, kept), 2, 0, kept)),
        2,
      ),
    );
    above = row;
  }
  return concat(lines, 1);
}

/** b with its first `extent` rows (axis 1) or columns (axis 2) faded in from the last ones of `a`. */
function blended(a: Tensor, b: Tensor, axis: 1 | 2, extent: number): Tensor {
  const size = b.shape[axis]!;
  const count = Math.min(a.shape[axis]!, size, extent);
  const share = Array.from({ length: count }, (_, i) => i / count);
  const ramp = (values: number[]) => tensor(values, [1, 1, 1, 1].with(axis, count));
  const fading = mul(slice(a, axis, a.shape[axis]! - count), ramp(share.map((s) => 1 - s)));
  const rising = mul(slice(b, axis, 0, count), ramp(share));
  const edge = add(fading, rising);
  return count < size ? concat([edge, slice(b, axis, count)], axis) : edge;
}
