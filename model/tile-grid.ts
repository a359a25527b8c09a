/** Overlapping tiles of one size that cover a canvas, and the smooth shares by which they are blended. */

/** Sides, in pixels of the latents. */
export interface Sides {
  readonly height: number;
  readonly width: number;
}

/** One tile: its corner, and its share of each row and column of the canvas (0 beyond it); the product is a pixel's. */
export interface TilePlace {
  readonly top: number;
  readonly left: number;
  readonly rows: Float32Array;
  readonly columns: Float32Array;
}

export interface TileGrid {
  /** Of every tile. */
  readonly tile: Sides;
  /** From the top, row by row. */
  readonly places: readonly TilePlace[];
}

/** A UNet halves its sides three times. */
const MULTIPLE = 8;

/**
 * Tiles of at most `tile` pixels a side of which neighbours share at least about `overlap` (at most half a tile).
 * With a `factor`, the same tiles in a picture that is so many times as large.
 */
export function tileGrid(canvas: Sides, tile: number, overlap: number, factor = 1): TileGrid {
  const down = tilesAlong(canvas.height, tile, overlap, factor);
  const across = tilesAlong(canvas.width, tile, overlap, factor);
  const places = down.starts.flatMap((top, i) =>
    across.starts.map((left, j) => ({
      ...{ top, left },
      ...{ rows: down.shares[i]!, columns: across.shares[j]! },
    })),
  );
  return { tile: { height: down.side, width: across.side }, places };
}

/** As few tiles as will do, no larger than they must be, evenly spread. */
function tilesAlong(size: number, tile: number, overlap: number, factor: number) {
  const count = size <= tile ? 1 : Math.ceil((size - overlap) / (tile - overlap));
  const least = Math.ceil((size + (count - 1) * overlap) / count);
  const side = count === 1 ? size : Math.min(tile, Math.ceil(least / MULTIPLE) * MULTIPLE);
  const starts = Array.from({ length: count }, (_, i) =>
    count === 1 ? 0 : Math.floor((i * (size - side)) / (count - 1) + 0.5),
  );
  const [begins, extent] = [starts.map((start) => start * factor), side * factor];
  const shares = sharesOf(begins, extent, size * factor, overlap * factor);
  return { side: extent, starts: begins, shares };
}

/** sin² up at a tile's beginning and down at its end, over `overlap` pixels; of all tiles together 1 everywhere. */
function sharesOf(
  starts: readonly number[],
  side: number,
  size: number,
  overlap: number,
): Float32Array[] {
  const rise = (i: number) =>
    i < overlap ? Math.sin((Math.PI * (i + 0.5)) / (2 * overlap)) ** 2 : 1;
  const window = Array.from({ length: side }, (_, i) => rise(i) * rise(side - 1 - i));
  const total = new Float64Array(size);
  for (const start of starts) {
    for (const [i, weight] of window.entries()) total[start + i]! += weight;
  }
  return starts.map((start) => {
    const shares = new Float32Array(size);
    for (const [i, weight] of window.entries()) shares[start + i] = weight / total[start + i]!;
    return shares;
  });
}
