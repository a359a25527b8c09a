/**
 * What a GPU's compiler makes of the rungs, where there is no GPU: Mesa's RADV, asked for its statistics
 * (RADV_DEBUG=shaders,shaderstats). Nothing is run.
 *
 * The driver takes every loop for eight rounds. So each rung is compiled twice, for a long sum and for one round of its
 * loop, and the difference says what seven rounds cost: without beginning and end of the kernel.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { mapValues } from "../../engine/graph.ts";
import { openDevice } from "../../engine/index.ts";
import { lower } from "../../engine/program.ts";
import type { OperandTypes } from "../../shaders/assemble.ts";
import { ladderWeight, RUNGS, type Rung } from "./rungs.ts";

const HERE = fileURLToPath(import.meta.url);
const MARK = "\n==== rung ";
const SIDE = 8192;
const ROUNDS = 8;

/** A wave of 64 lanes is what the driver counts by, whatever size it chose. */
const LANES = 64;

interface Compiled {
  readonly rung: string;
  readonly K: number;
}

if (process.argv[2] === "--compile") {
  await compileRungs();
  process.exit(0);
}
const { stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", HERE, "--compile"], {
  encoding: "utf8",
  maxBuffer: 2 ** 30,
});
const parts = stderr.split(MARK).slice(1).map(part);
if (parts.length === 0) console.error(`${stdout}\n${stderr}`);
console.table(RUNGS.flatMap(row));

async function compileRungs(): Promise<void> {
  const devices = {
    plain: await openDevice({ bake: true, matrix: false }),
    matrix: await openDevice({ bake: true, matrix: true }),
  };
  for (const rung of RUNGS) {
    const device = rung.matrix ? devices.matrix : devices.plain;
    if (!rung.runsOn(device)) continue;
    for (const K of [SIDE, rung.round]) {
      const size = { M: SIDE, N: SIDE, K };
      const y = rung.build(size, ladderWeight(size), device);
      const { kernel, params, operands } = lower({ y }, device.target).dispatches.at(-1)!;
      const compiled: Compiled = { rung: rung.name, K };
      process.stderr.write(`${MARK}${JSON.stringify(compiled)}\n`);
      const types = mapValues(operands, ({ type }) => type) as OperandTypes;
      await device.pipeline(kernel, params, types);
    }
  }
}

/** What the driver printed about one of them. */
function part(text: string) {
  const { rung, K } = JSON.parse(text.slice(0, text.indexOf("\n"))) as Compiled;
  const number = (name: string) => Number(new RegExp(`${name}: *(\\d+)`).exec(text)?.[1]);
  const assembly = text.slice(text.lastIndexOf("\nBB0:"));
  return {
    ...{ rung, K },
    VGPRs: number("\nVGPRs"),
    spilled: number("Spilled VGPRs") + number("Spilled SGPRs"),
    LDS: number("LDS size"),
    waves: number("Subgroups per SIMD"),
    inverse: number("Inverse Throughput"),
    matrices: assembly.match(/^\tv_wmma/gm)?.length ?? 0,
  };
}

function row({ name, round, sums, fragments }: Rung) {
  const long = parts.find(({ rung, K }) => rung === name && K === SIDE);
  const short = parts.find(({ rung, K }) => rung === name && K === round);
  if (!long || !short) return [];
  const cycles = (long.inverse - short.inverse) / (ROUNDS - 1);
  const { VGPRs, spilled, LDS, waves, inverse, matrices } = long;
  return {
    ...{ rung: name, VGPRs, spilled, LDS, waves, inverse },
    matrices: fragments === 0 ? "–" : `${matrices} of ${fragments}`,
    "cycles a round": Number(cycles.toFixed(0)),
    "FLOP a cycle": Number(((2 * sums * round * LANES) / cycles).toFixed(0)),
  };
}
