/**
 * How a matrix product is cut into tiles, one a workgroup (`lib/tile.wgsl`): the table of tiles and the one
 * place that chooses among them. Both are data, so that measurements on a device can replace the choice.
 */
import { DEFAULT_SHAPE, type GpuShape } from "./gpus.ts";
import { type Constants, type Dims, type Grid, linearGrid } from "./kernel.ts";

export interface Tile {
  /** Threads down and across. */
  readonly threads: readonly [rows: number, columns: number];
  /** What a thread sums up: 4·quads rows of so many vec4 columns. */
  readonly quads: number;
  readonly columns: number;
  /** Terms of the sum that lie in workgroup memory at a time: as many as give each thread one block to bring. */
  readonly panel: number;
  /**
   * Multiplications per unit of time, relative to the best tile. An estimate, from the share of multiplications
   * among the instructions (bench/README.md) and from how often one value read from workgroup memory is used.
   */
  readonly speed: number;
}

/** By speed. For each panel a thread brings one block of 4 x 4 of the left side. */
export const TILES: readonly Tile[] = [
  { threads: [16, 8], quads: 2, columns: 2, panel: 16, speed: 1 },
  { threads: [8, 8], quads: 2, columns: 2, panel: 16, speed: 0.97 },
  { threads: [8, 8], quads: 1, columns: 2, panel: 32, speed: 0.8 },
  { threads: [8, 8], quads: 1, columns: 1, panel: 32, speed: 0.6 },
  { threads: [16, 4], quads: 1, columns: 1, panel: 16, speed: 0.5 },
];

/** What of a device bounds a tile. */
export interface TileLimits {
  readonly maxWorkgroupStorage: number;
  /** What the estimate takes the GPU to be; default: a large NVIDIA. */
  readonly gpu?: GpuShape | undefined;
}

/** A product, as far as its tile depends on it. */
export interface ProductSize {
  readonly batch: number;
  readonly M: number;
  /** Columns of the right side. */
  readonly N: number;
  readonly K: number;
  /** Two vec4 columns of a thread are a value and its gate. */
  readonly gated: boolean;
  /** The rows of the left side are normalised (`lib/row-moments`): takes room, and the sum whole. */
  readonly normed?: boolean;
}

export interface Tiling {
  readonly tile: Tile;
  /** Equal parts into which the sum over K is split, each a workgroup's work for every tile. */
  readonly slices: number;
}

/** So much faster must slices be: the host pays for a dispatch too. */
const SLICING_PAYS = 1.5;

/** A slice of the sum that is shorter than this is mostly beginning and end. */
const SHORTEST_SLICE = 512;

/** The tile, and the slices for long sums of few tiles (the lowest levels of the UNet), that should be fastest. */
export function chooseTiling(
  product: ProductSize,
  limits: TileLimits,
  tiles: readonly Tile[] = TILES,
): Tiling {
  return tilings(product, limits, tiles)[0]!;
}

/** All that fit, by the time that they should take: but first of all one without slices, unless slices pay. */
export function tilings(
  product: ProductSize,
  limits: TileLimits,
  tiles: readonly Tile[] = TILES,
): Tiling[] {
  const fitting = tiles.filter(
    (tile) =>
      tileBytes(tile, product.normed) <= limits.maxWorkgroupStorage &&
      (!product.gated || tile.columns === 2),
  );
  const time = (tiling: Tiling) => clocks(product, tiling, limits.gpu ?? DEFAULT_SHAPE);
  const fastest = (all: readonly Tiling[]) =>
    all.reduce((best, next) => (time(next) < time(best) ? next : best));
  const whole = fitting.map((tile) => ({ tile, slices: 1 }));
  const sliced = fitting.flatMap((tile) => slicings(product, tile));
  const pays = sliced.length > 0 && time(fastest(sliced)) * SLICING_PAYS < time(fastest(whole));
  const first = fastest(pays ? sliced : whole);
  const others = [...whole, ...sliced].filter((tiling) => tiling !== first);
  return [first, ...others.sort((a, b) => time(a) - time(b))];
}

/** What a record of measurements calls a tiling: "64x64x16 8x8 /4" is 64 rows, 64 columns and 16 terms by 8x8 threads, in 4 slices. */
export function tilingName({ tile, slices }: Tiling): string {
  return `${tileRows(tile)}x${tileColumns(tile)}x${tile.panel} ${tile.threads.join("x")} /${slices}`;
}

/** Slices of whole panels, long enough; neither batches nor gates nor norms are split. */
function slicings({ batch, gated, normed, K }: ProductSize, tile: Tile): Tiling[] {
  if (batch > 1 || gated || normed) return [];
  const fit = [2, 4, 8, 16].filter(
    (slices) => K % (slices * tile.panel) === 0 && K / slices >= SHORTEST_SLICE,
  );
  return fit.map((slices) => ({ tile, slices }));
}

/** Until the busiest multiprocessor is done; its schedulers idle if it has too few threads. */
function clocks(product: ProductSize, { tile, slices }: Tiling, gpu: GpuShape): number {
  const rounds = Math.ceil((tileCount(product, tile) * slices) / gpu.cores);
  const warps = (rounds * tile.threads[0] * tile.threads[1]) / gpu.lanes;
  const idle = Math.max(1, gpu.schedulers / warps);
  const terms = (tileRows(tile) * tileColumns(tile) * product.K) / slices;
  const sum = slices > 1 ? gpu.dispatchClocks : 0;
  return (rounds * idle * terms) / (tile.speed * gpu.schedulers * gpu.lanes) + sum;
}

export function tileRows({ threads, quads }: Tile): number {
  return 4 * quads * threads[0];
}

export function tileColumns({ threads, columns }: Tile): number {
  return 4 * columns * threads[1];
}

/** Both sides of a panel, as f32; two numbers a row for its norm. */
function tileBytes(tile: Tile, normed = false): number {
  const norms = normed ? 2 * tileRows(tile) : 0;
  return 4 * (tile.panel * (tileRows(tile) + tileColumns(tile)) + norms);
}

function tileCount({ batch, M, N }: ProductSize, tile: Tile): number {
  return batch * Math.ceil(M / tileRows(tile)) * Math.ceil(N / tileColumns(tile));
}

/** The constants of `lib/tile.wgsl`. */
export function tileConstants({ threads, quads, columns, panel }: Tile): Constants {
  return {
    THREAD_ROWS: threads[0],
    THREAD_COLUMNS: threads[1],
    QUADS: quads,
    COLUMNS: columns,
    DEPTH: panel / 4,
  };
}

/** The dims of `lib/tile.wgsl`: `slices` is how many products, or slices of the sum, the grid has; K one's terms. */
export function tileDims(p: ProductSize, tile: Tile, slices: number): Dims {
  return {
    SLICES: slices,
    ROW_TILES: Math.ceil(p.M / tileRows(tile)),
    COLUMN_TILES: Math.ceil(p.N / tileColumns(tile)),
    M: p.M,
    K4: Math.ceil(p.K / 4),
    W_PITCH: Math.ceil(p.N / 4),
  };
}

export function tileGrid(p: ProductSize, tile: Tile, slices: number): Grid {
  const columns = Math.ceil(p.N / tileColumns(tile));
  return linearGrid(slices * Math.ceil(p.M / tileRows(tile)) * columns, 1);
}
