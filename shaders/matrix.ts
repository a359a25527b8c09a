/**
 * Matrix units (Dawn's `chromium-experimental-subgroup-matrix`): what a device multiplies at a time, how a product is
 * cut for it, and the one place that chooses. All of it is data, so that measurements can replace the choice.
 */
import { EPILOGUE_LIB, EPILOGUE_OPERANDS } from "./epilogue.ts";
import { type Constants, type Grid, linearGrid } from "./kernel.ts";
import type { ProductSize } from "./tile.ts";

/**
 * How WGSL spells a matrix in memory: the layout as a template argument (Dawn since 2026, where the memory may be of
 * any type), or as a bool among the parameters (Chrome before), where it must be of the matrix's own.
 */
export type Dialect = "template" | "bool";

/** f16 times f16, summed up in f32: [m, k] · [k, n] by the lanes of one subgroup together. */
export interface MatrixUnit {
  readonly m: number;
  readonly n: number;
  readonly k: number;
  /** Lanes of a subgroup; `pinned` where a kernel must ask for that size, since the device has several. */
  readonly subgroup: number;
  readonly pinned: boolean;
  readonly dialect: Dialect;
}

/** A workgroup's part of a product. */
export interface MatrixTile {
  readonly subgroups: readonly [down: number, across: number];
  /** What one subgroup sums up. */
  readonly rows: number;
  readonly columns: number;
}

/** Terms of the sum that lie in workgroup memory at a time. Packed weights are padded to whole panels. */
export const PANEL = 32;

/** Halves in one element of workgroup memory and of the left side. */
const EIGHT = 8;

/**
 * Of a row of subgroups' tiles each reads its own weights, those of a column read the same ones: hence more subgroups
 * across than down, but for widths such as 320.
 */
export const MATRIX_TILES: readonly MatrixTile[] = [
  { subgroups: [2, 4], rows: 64, columns: 32 },
  { subgroups: [4, 2], rows: 64, columns: 32 },
  { subgroups: [2, 2], rows: 64, columns: 32 },
  { subgroups: [2, 2], rows: 32, columns: 32 },
  { subgroups: [2, 2], rows: 16, columns: 32 },
  { subgroups: [2, 2], rows: 16, columns: 16 },
];

export interface MatrixLimits {
  readonly maxWorkgroupStorage: number;
}

export interface MatrixTiling {
  readonly tile: MatrixTile;
  /** Equal parts of the sum, each a workgroup's work for every tile. */
  readonly slices: number;
}

/**
 * The GPU that the choice is made for, an H100: multiprocessors, and what one does in a clock. It multiplies 1270
 * terms through Vulkan (612 TFLOP/s were seen on a GH200), reads 128 bytes of workgroup memory or L1, and gets about
 * 27 from L2.
 */
const CORES = 132;
const SCHEDULERS = 4;
const TERMS = 1270;
const NEAR_BYTES = 128;
const FAR_BYTES = 27;

/** Clocks of one more dispatch and its way through memory, about 5 µs: what adding slices up costs. */
const SUM_CLOCKS = 8500;

/** So much faster must slices be: the host pays for a dispatch too. */
const SLICING_PAYS = 1.5;

/** A slice of the sum that is shorter than this is mostly beginning and end. */
const SHORTEST_SLICE = 512;

/** Of a lane's registers, so many may hold sums: with twice as many a compiler for RDNA3 spills. */
const MOST_SUMS = 64;

/** The tile, and the slices of a long sum of few tiles, that should be fastest. */
export function chooseMatrixTiling(
  product: ProductSize,
  unit: MatrixUnit,
  limits: MatrixLimits,
  tiles: readonly MatrixTile[] = MATRIX_TILES,
): MatrixTiling {
  const fitting = tiles.filter((tile) => fits(tile, unit, limits, product.gated));
  const fastest = (all: readonly MatrixTiling[]) =>
    all.reduce((best, next) => (clocks(product, next) < clocks(product, best) ? next : best));
  const whole = fastest(fitting.map((tile) => ({ tile, slices: 1 })));
  const sliced = fitting.flatMap((tile) => slicings(product, tile));
  if (sliced.length === 0) return whole;
  const best = fastest(sliced);
  return clocks(product, best) * SLICING_PAYS < clocks(product, whole) ? best : whole;
}

function fits(tile: MatrixTile, unit: MatrixUnit, limits: MatrixLimits, gated: boolean): boolean {
  const { rows, columns } = tile;
  const pair = gated ? 2 : 1;
  return (
    rows % unit.m === 0 &&
    columns % (pair * unit.n) === 0 &&
    (rows * columns) / unit.subgroup <= MOST_SUMS &&
    poolBytes(tilePool(tile, unit), unit) <= limits.maxWorkgroupStorage
  );
}

/** Slices of whole panels, long enough; neither batches nor gates are split. */
function slicings({ batch, gated, K }: ProductSize, tile: MatrixTile): MatrixTiling[] {
  if (batch > 1 || gated) return [];
  const panels = Math.ceil(K / PANEL);
  const fit = [2, 3, 4, 6, 8, 9, 12, 16].filter(
    (slices) => panels % slices === 0 && (panels / slices) * PANEL >= SHORTEST_SLICE,
  );
  return fit.map((slices) => ({ tile, slices }));
}

/** Until the busiest multiprocessor is done: of arithmetic and its two sources the slowest counts. */
function clocks(product: ProductSize, { tile, slices }: MatrixTiling): number {
  const { subgroups, rows, columns } = tile;
  const count = subgroups[0] * subgroups[1];
  const rounds = Math.ceil((tileCount(product, tile) * slices) / CORES);
  const idle = Math.max(1, SCHEDULERS / (rounds * count));
  const term = Math.max(
    (idle * tileRows(tile) * tileColumns(tile)) / TERMS,
    (2 * count * (rows + columns)) / NEAR_BYTES,
    (2 * (tileRows(tile) + tileColumns(tile))) / FAR_BYTES,
  );
  return (rounds * term * product.K) / slices + (slices > 1 ? SUM_CLOCKS : 0);
}

function tileCount({ batch, M, N }: ProductSize, tile: MatrixTile): number {
  return batch * Math.ceil(M / tileRows(tile)) * Math.ceil(N / tileColumns(tile));
}

export function tileRows({ subgroups, rows }: MatrixTile): number {
  return subgroups[0] * rows;
}

export function tileColumns({ subgroups, columns }: MatrixTile): number {
  return subgroups[1] * columns;
}

/** Elements of workgroup memory: a panel of the left side or, later, some rows of every subgroup's sums. */
function tilePool(tile: MatrixTile, unit: MatrixUnit): number {
  const count = tile.subgroups[0] * tile.subgroups[1];
  const panel = tileRows(tile) * (PANEL / EIGHT + 1);
  return Math.max(panel, count * unit.m * (tile.columns / 4 + 1));
}

/** In the older dialect halves and sums cannot share memory. */
export function poolBytes(elements: number, { dialect }: MatrixUnit): number {
  return elements * (dialect === "bool" ? 32 : 16);
}

/** The constants of `lib/matrix-tile.wgsl`. */
export function matrixTileConstants(tile: MatrixTile, unit: MatrixUnit): Constants {
  return {
    ...unitConstants(unit),
    SUBGROUP_ROWS: tile.subgroups[0],
    SUBGROUP_COLUMNS: tile.subgroups[1],
    DOWN: tile.rows / unit.m,
    ACROSS: tile.columns / unit.n,
    PANEL,
    POOL: tilePool(tile, unit),
  };
}

export function unitConstants({ m, n, k, subgroup }: MatrixUnit): Constants {
  return { UNIT_M: m, UNIT_N: n, UNIT_K: k, SUBGROUP: subgroup };
}

/**
 * The dims of `lib/matrix-tile.wgsl`. `slices` is how many products, or slices of the sum, the grid has, `panels` how
 * many one of them sums up.
 */
export function matrixTileDims(p: ProductSize, tile: MatrixTile, slices: number, panels: number) {
  return {
    SLICES: slices,
    ROW_TILES: Math.ceil(p.M / tileRows(tile)),
    COLUMN_TILES: Math.ceil(p.N / tileColumns(tile)),
    M: p.M,
    PANELS: panels,
  };
}

export function matrixTileGrid(p: ProductSize, tile: MatrixTile, slices: number): Grid {
  const rows = Math.ceil(p.M / tileRows(tile));
  return linearGrid(slices * rows * Math.ceil(p.N / tileColumns(tile)), 1);
}

/** Where the right side's fragments lie, in eights of halves: from one to the next down (k) and across (n), and between rows. */
export interface RightSide {
  readonly down: number;
  readonly across: number;
  readonly stride: number;
  /** Its terms lie side by side, as the units take them; else its columns. */
  readonly packed: boolean;
  /** Fragments across; of a gated product those of the values, which the gates' follow. */
  readonly fragments: number;
}

/**
 * Fragments one after another, those of one column together: each is one contiguous read. Within one a column's terms
 * are neighbours, as the registers of AMD's and NVIDIA's units hold them.
 */
export function packedRight(unit: MatrixUnit, K: number, N: number): RightSide {
  const size = (unit.k * unit.n) / EIGHT;
  return {
    down: size,
    across: (size * PANEL * Math.ceil(K / PANEL)) / unit.k,
    stride: unit.k / EIGHT,
    packed: true,
    fragments: Math.ceil(N / unit.n),
  };
}

/** Rows of `pitch` vec4s, as any tensor lies. */
export function plainRight(unit: MatrixUnit, N: number, pitch: number): RightSide {
  const stride = pitch / 2;
  const fragments = Math.ceil(N / unit.n);
  return { down: unit.k * stride, across: unit.n / EIGHT, stride, packed: false, fragments };
}

export function rightDims({ down, across, stride, fragments }: RightSide) {
  return { W_DOWN: down, W_ACROSS: across, W_STRIDE: stride, FRAGMENTS: fragments };
}

/** What stands in front of every matrix kernel. */
export function matrixPreface({ m, n, k, pinned }: MatrixUnit): readonly string[] {
  const extensions = ["f16", "subgroups", "chromium_experimental_subgroup_matrix"];
  if (pinned) extensions.push("subgroup_size_control");
  return [
    ...extensions.map((name) => `enable ${name};`),
    // Which threads are a subgroup is not for a compiler to know: the kernels' matrices are the same for all of one.
    "diagnostic(off, chromium.subgroup_matrix_uniformity);",
    `alias LeftMatrix = subgroup_matrix_left<f16, ${k}, ${m}>;`,
    `alias RightMatrix = subgroup_matrix_right<f16, ${n}, ${k}>;`,
    `alias ResultMatrix = subgroup_matrix_result<f32, ${n}, ${m}>;`,
  ];
}

/** The text that spells accesses to workgroup memory in a dialect. */
export function dialectLib(dialect: Dialect): string {
  return `matrix-${dialect}`;
}

/** The element of the right side in storage: the older dialect wants it to be the matrix's own. */
function rightHalves(dialect: Dialect): "eights" | "ones" {
  return dialect === "bool" ? "ones" : "eights";
}

/** The same and, for products, accesses to the right side in storage. */
function dialectLibs(dialect: Dialect): readonly string[] {
  return [dialectLib(dialect), `matrix-right-${dialect}`];
}

/** What a product on matrix units reads and writes, and the parts of its source beside its own. */
export function matrixProduct(dialect: Dialect) {
  return {
    operands: [
      { name: "x", access: "read", halves: "eights" },
      { name: "w", access: "read", halves: rightHalves(dialect) },
      ...EPILOGUE_OPERANDS,
      { name: "y", access: "write" },
    ],
    lib: ["lanes", ...dialectLibs(dialect), "matrix-tile", ...EPILOGUE_LIB],
    preface: ({ unit }: { readonly unit: MatrixUnit }) => matrixPreface(unit),
  } as const;
}
