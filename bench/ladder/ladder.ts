/** `npm run bench -- ladder`: a matrix product rung by rung, each checked and timed. */
import { decodeHalf } from "../../engine/dtype.ts";
import { compile, type Device } from "../../engine/index.ts";
import { type Measurement, measure, type RunOptions } from "../harness.ts";
import { type LadderSize, ladderWeight, RUNGS, type Rung, weightBits } from "./rungs.ts";

export interface LadderRow extends Measurement {
  readonly rung: string;
  readonly about: string;
  /** Largest |Δ| from float64 at some places, over the largest |result|. */
  readonly error: number;
}

/** Places of the result that are checked. */
const CHECKED = 64;

/** A result is stored as a half: 2^-11, and a little for a sum in f32. */
const TOLERANCE = 1e-3;

/** Every rung that the devices run: one without and, where there are matrix units, one with. Throws if a rung is wrong. */
export async function benchLadder(
  devices: { readonly plain: Device; readonly matrix: Device },
  size: LadderSize,
  options: RunOptions,
  tell: (row: LadderRow) => void,
): Promise<LadderRow[]> {
  const rows: LadderRow[] = [];
  for (const rung of RUNGS) {
    const device = rung.matrix ? devices.matrix : devices.plain;
    if (!rung.runsOn(device)) continue;
    const row = await climb(device, rung, size, options);
    rows.push(row);
    tell(row);
  }
  return rows;
}

async function climb(
  device: Device,
  rung: Rung,
  size: LadderSize,
  options: RunOptions,
): Promise<LadderRow> {
  const plan = await compile(device, { y: rung.build(size, ladderWeight(size), device) });
  try {
    const x = leftValues(size);
    plan.write("x", x);
    const measured = await measure([plan], options);
    const error = errorOf(x, (await plan.read("y")) as Float32Array, size);
    if (!(error <= TOLERANCE)) throw new Error(`${rung.name} is off by ${error}`);
    return { rung: rung.name, about: rung.about, error, ...measured };
  } finally {
    await plan.destroy();
  }
}

/** Halves in -1..1. */
function leftValues({ M, K }: LadderSize): Float32Array {
  return Float32Array.from({ length: M * K }, (_, i) => (((i * 7919) % 257) - 128) / 128);
}

function errorOf(x: Float32Array, y: Float32Array, { M, N, K }: LadderSize): number {
  let largest = 0;
  let off = 0;
  for (let i = 0; i < CHECKED; i++) {
    const m = (i * 2_654_435) % M;
    const n = (i * 40_503 + 7) % N;
    let sum = 0;
    for (let k = 0; k < K; k++) sum += x[m * K + k]! * weightAt(n * K + k);
    largest = Math.max(largest, Math.abs(sum));
    off = Math.max(off, Math.abs(sum - y[m * N + n]!));
  }
  return off / largest;
}

const one = new Uint16Array(1);

function weightAt(i: number): number {
  one[0] = weightBits(i);
  return decodeHalf(one)[0]!;
}
