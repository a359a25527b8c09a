/** Attention without a score matrix, on matrix units. */
import { type AttentionParams, attentionFlops } from "./attention.ts";
import { type Dims, type Kernel, linearGrid } from "./kernel.ts";
import {
  dialectLib,
  type MatrixLimits,
  type MatrixUnit,
  matrixPreface,
  poolBytes,
  unitConstants,
} from "./matrix.ts";

/** A workgroup's part: its subgroups, the fragments of queries of each, and the keys in workgroup memory. */
export interface AttentionTile {
  readonly subgroups: number;
  readonly down: number;
  readonly keys: number;
}

export interface MatrixAttentionParams extends AttentionParams {
  readonly unit: MatrixUnit;
  readonly tile: AttentionTile;
}

/** Largest first: more queries of a subgroup read each key and value from workgroup memory less often. */
export const ATTENTION_TILES: readonly AttentionTile[] = [
  { subgroups: 4, down: 2, keys: 32 },
  { subgroups: 4, down: 1, keys: 32 },
  { subgroups: 2, down: 1, keys: 32 },
  { subgroups: 1, down: 1, keys: 32 },
];

/** With more than one fragment of queries, so many of a lane's registers may hold queries and sums. */
const MOST_REGISTERS = 112;

/** Workgroups that fill an H100's 132 multiprocessors twice. */
const FILLS = 264;

/** The largest tile that the device holds and of which there are enough, else the smallest that it holds. */
export function attentionTile(
  p: AttentionParams,
  unit: MatrixUnit,
  limits: MatrixLimits,
): AttentionTile | undefined {
  const fitting = ATTENTION_TILES.filter((tile) => fits(p, unit, tile, limits));
  const enough = (tile: AttentionTile) =>
    tile.down === 1 || p.batch * p.heads * Math.ceil(p.queries / queriesOf(tile, unit)) >= FILLS;
  return fitting.find(enough) ?? fitting.at(-1);
}

function fits(
  p: AttentionParams,
  unit: MatrixUnit,
  tile: AttentionTile,
  limits: MatrixLimits,
): boolean {
  const { inner, outer } = widths(p, unit);
  const registers = (tile.down * unit.m * (outer + inner / 2)) / unit.subgroup;
  const bytes = poolBytes(pool(p, unit, tile), unit) + 4 * tile.subgroups;
  const shares = tile.keys % ((8 * unit.subgroup) / unit.m) === 0;
  const light = tile.down === 1 || registers <= MOST_REGISTERS;
  return shares && light && bytes <= limits.maxWorkgroupStorage;
}

function queriesOf({ subgroups, down }: AttentionTile, { m }: MatrixUnit): number {
  return subgroups * down * m;
}

/** Channels of a head in whole fragments: of queries and keys, and of values. */
function widths({ d, e }: AttentionParams, { n, k }: MatrixUnit) {
  return { inner: k * Math.ceil(d / k), outer: n * Math.ceil(e / n) };
}

/** Elements of workgroup memory: keys, values, scores, weights; the queries, first, lie where those will. */
function pool(p: AttentionParams, unit: MatrixUnit, tile: AttentionTile): number {
  const { inner, outer } = widths(p, unit);
  const rows = queriesOf(tile, unit);
  const tiles = tile.keys * (inner / 8 + 1 + outer / 8 + 1);
  return Math.max(tiles + rows * (tile.keys / 4 + 1 + tile.keys / 8 + 1), rows * (inner / 8 + 1));
}

/** q, k and v are f16; d, e, offsets and pitches multiples of 8 channels. */
export function matrixAttention({ dialect }: MatrixUnit): Kernel<MatrixAttentionParams> {
  return {
    name: "matrix-attention",
    operands: [
      { name: "q", access: "read", halves: "eights" },
      { name: "k", access: "read", halves: "eights" },
      { name: "v", access: "read", halves: "eights" },
      { name: "y", access: "write" },
    ],
    lib: [dialectLib(dialect)],
    preface: ({ unit }) => matrixPreface(unit),
    constants: ({ unit, tile, ...p }) => ({
      ...unitConstants(unit),
      SUBGROUPS: tile.subgroups,
      DOWN: tile.down,
      KEYS: tile.keys,
      D8: p.d / 8,
      E8: p.e / 8,
      POOL: pool({ ...p }, unit, tile),
    }),
    dims,
    workgroups: (p) =>
      linearGrid(p.batch * p.heads * Math.ceil(p.queries / queriesOf(p.tile, p.unit)), 1),
    flops: attentionFlops,
  };
}

function dims(p: MatrixAttentionParams): Dims {
  return {
    BLOCKS: Math.ceil(p.queries / queriesOf(p.tile, p.unit)),
    BATCH: p.batch,
    HEADS: p.heads,
    N: p.queries,
    M: p.keys,
    CAUSAL: p.causal ? 1 : 0,
    // The kernel uses powers of two: exp(x) = exp2(x · log2 e).
    SCALE: { f32: p.scale * Math.LOG2E },
    Q_OFFSET: p.q.offset / 2,
    Q_PITCH: p.q.pitch / 2,
    K_OFFSET: p.k.offset / 2,
    K_PITCH: p.k.pitch / 2,
    V_OFFSET: p.v.offset / 2,
    V_PITCH: p.v.pitch / 2,
  };
}
