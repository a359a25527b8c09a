/**
 * What a GPU's compiler makes of the kernels that cost most in a step of SD2's UNet, 512x512, f16, guided. Needs a
 * driver that compiles and prints what it made: Mesa's RADV with RADV_DEBUG=shaders,shaderstats. Nothing is run.
 */
import { spawnSync } from "node:child_process";
import { readFileSync } from "node:fs";
import { fileURLToPath } from "node:url";
import { mapValues } from "../engine/graph.ts";
import { openDevice } from "../engine/index.ts";
import type { Dispatch } from "../engine/lower/lowering.ts";
import { lower } from "../engine/program.ts";
import type { OperandTypes } from "../shaders/assemble.ts";
import { type ConfigFiles, fullSizeGraphs } from "../tools/plans/full-size.ts";

const HERE = fileURLToPath(import.meta.url);
const KEYS = new URL("../test/fixtures/sd2-keys.json", import.meta.url);

/** Shapes that have less than this share of the step's FLOPs are left out. */
const SMALLEST_SHARE = 0.009;

const MARK = "\n==== kernel ";

/** Hints to the hardware's scheduler, which cost nothing. */
const HINT = /^\ts_(delay_alu|clause|waitcnt_depctr)/;

interface Shape {
  readonly label: string;
  readonly share: string;
  readonly count: number;
  readonly groups: number;
  readonly flops: number;
}

if (process.argv[2] === "--compile") {
  await compileAll();
  process.exit(0);
}
const { stdout, stderr } = spawnSync(process.execPath, ["--import", "tsx", HERE, "--compile"], {
  encoding: "utf8",
  maxBuffer: 2 ** 30,
});
const rows = stderr.split(MARK).slice(1).map(row);
if (rows.length === 0) console.error(`${stdout}\n${stderr}`);
console.table(rows);

/** Compiles each shape, its description on standard error before what the driver prints. */
async function compileAll(): Promise<void> {
  const device = await openDevice({ bake: true });
  const parts = JSON.parse(readFileSync(KEYS, "utf8")) as Record<string, { config: unknown }>;
  const files = mapValues(parts, ({ config }) => config) as unknown as ConfigFiles;
  const { unet } = fullSizeGraphs(files, { dtype: "f16", size: 512 });
  const { dispatches } = lower(unet!, device.target);
  const total = dispatches.reduce((sum, d) => sum + flopsOf(d), 0);
  const shapes = new Map<string, Dispatch[]>();
  for (const dispatch of dispatches) {
    const types = mapValues(dispatch.operands, ({ type }) => type) as OperandTypes;
    const text = await device.source(dispatch.kernel, dispatch.params, types);
    shapes.set(text, [...(shapes.get(text) ?? []), dispatch]);
  }
  for (const same of shapes.values()) {
    const { kernel, params, operands, label } = same[0]!;
    const share = (same.length * flopsOf(same[0]!)) / total;
    if (share < SMALLEST_SHARE) continue;
    const [x, y, z] = kernel.workgroups(params);
    const shape: Shape = {
      label: `${kernel.name} ${label.replace("unet.", "")}`,
      share: `${(100 * share).toFixed(1)} %`,
      count: same.length,
      groups: x * y * z,
      flops: flopsOf(same[0]!),
    };
    process.stderr.write(`${MARK}${JSON.stringify(shape)}\n`);
    await device.pipeline(kernel, params, mapValues(operands, ({ type }) => type) as OperandTypes);
  }
}

function flopsOf({ kernel, params }: Dispatch): number {
  return kernel.flops(params);
}

/** One shape and what the driver printed about it. */
function row(text: string) {
  const { label, share, count, groups } = JSON.parse(text.slice(0, text.indexOf("\n"))) as Shape;
  const number = (name: string) => Number(new RegExp(`${name}: *(\\d+)`).exec(text)?.[1]);
  const loops = innerLoops(text);
  return {
    kernel: label,
    share,
    count,
    groups,
    VGPRs: number("\nVGPRs"),
    spilled: number("Spilled VGPRs") + number("Spilled SGPRs"),
    LDS: number("LDS size"),
    waves: number("Subgroups per SIMD"),
    inverse: number("Inverse Throughput"),
    multiplying: loops.map(({ multiplying }) => `${multiplying} %`).join(", "),
    perLoad: loops.map(({ perLoad }) => perLoad).join(", "),
  };
}

/**
 * The loops that multiply most: how many of their instructions multiply and add, and how many of those there are
 * to a load (from workgroup memory or storage). Wants the assembly (RADV_DEBUG=shaders).
 */
function innerLoops(text: string): { multiplying: number; perLoad: number }[] {
  const assembly = text.slice(text.lastIndexOf("\nBB0:"));
  const blocks = assembly.split(/\nBB\d+:/).map((block) => {
    const lines = block.split("\n").filter((line) => line.startsWith("\t") && !HINT.test(line));
    const count = (pattern: RegExp) => lines.filter((line) => pattern.test(line)).length;
    return {
      all: lines.length,
      // A v_fma_mix by one is the conversion of a half.
      sums: count(/^\tv_(fma|fmac|dual_fmac|fma_mix)_f32(?!.* 1\.0, neg\(0\))/),
      loads: count(/^\t(ds|buffer)_load/),
    };
  });
  const most = Math.max(...blocks.map(({ sums }) => sums));
  return blocks
    .filter(({ sums, loads }) => sums >= 64 && sums >= most / 2 && loads > 0)
    .map(({ all, sums, loads }) => ({
      multiplying: Math.round((100 * sums) / all),
      perLoad: Number((sums / loads).toFixed(1)),
    }));
}
