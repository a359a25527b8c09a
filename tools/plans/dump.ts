/** A plan as text: a line a dispatch under headings of blocks, then what it needs in all. */
import type { Dispatch, Storage } from "../../engine/lower/lowering.ts";
import { place, storageBytes } from "../../engine/memory.ts";
import type { Program } from "../../engine/program.ts";

export interface Totals {
  readonly dispatches: number;
  readonly gflop: number;
  /** Bytes of the buffers that results share. */
  readonly activations: number;
  readonly weights: number;
  readonly largestBinding: number;
  readonly largestBuffer: number;
}

export function totals(program: Program): Totals {
  const { buffers } = place(program);
  const sizes = program.storages.map(storageBytes);
  const weights = program.storages.filter(({ kind }) => kind === "weight" || kind === "parameter");
  const flops = program.dispatches.map(({ kernel, params }) => kernel.flops(params));
  return {
    dispatches: program.dispatches.length,
    gflop: Number((sum(flops) / 1e9).toFixed(3)),
    activations: sum(buffers),
    weights: sum(weights.map(storageBytes)),
    largestBinding: Math.max(...sizes),
    largestBuffer: Math.max(...sizes, ...buffers),
  };
}

function sum(values: readonly number[]): number {
  return values.reduce((a, b) => a + b, 0);
}

/** Totals, one a line. */
export function dumpTotals(program: Program): string {
  return Object.entries(totals(program))
    .map(([name, value]) => `${name} ${value}\n`)
    .join("");
}

/** How often each kernel runs, by name. */
export function dumpKernels(program: Program): string {
  const counts = new Map<string, number>();
  for (const { kernel } of program.dispatches) {
    counts.set(kernel.name, (counts.get(kernel.name) ?? 0) + 1);
  }
  return [...counts]
    .sort(([a], [b]) => (a < b ? -1 : 1))
    .map(([name, count]) => `${name} ${count}\n`)
    .join("");
}

/**
 * `kernel label [shape] dtype workgroups bytes MFLOP` for every dispatch; the label without the path of
 * its block, which stands above ("." is the block itself).
 */
export function dumpProgram(program: Program): string {
  const lines: string[] = [];
  let heading = "";
  for (const dispatch of program.dispatches) {
    const block = blockOf(dispatch.label);
    if (block !== heading) lines.push(`${block || "(top)"}\n`);
    heading = block;
    const own = dispatch.label.slice(block.length).replace(/^\./, "") || ".";
    lines.push(` ${dispatch.kernel.name} ${own} ${dumpDispatch(dispatch)}\n`);
  }
  return `${lines.join("")}\n${dumpTotals(program)}`;
}

/** "unet.down_blocks.0.resnets.1" of "unet.down_blocks.0.resnets.1.conv1". */
function blockOf(label: string): string {
  return /^(?:\w+\.)*?[a-z_]+\.\d+(?:\.[a-z_]+\.\d+)?/.exec(label)?.[0] ?? "";
}

function dumpDispatch({ kernel, params, operands }: Dispatch): string {
  const written = kernel.operands.filter(({ access }) => access === "write");
  const results = written.flatMap(({ name }) => operands[name] ?? []).map(dumpResult);
  const groups = kernel.workgroups(params).join("x");
  const bytes = sum([...new Set(Object.values(operands))].map(storageBytes));
  const mflop = Number((kernel.flops(params) / 1e6).toPrecision(4));
  return `${results.join("+")} ${groups} ${kernel.bytes?.(params) ?? bytes} ${mflop}`;
}

function dumpResult({ tensor, type, vectors }: Storage): string {
  return tensor ? `[${tensor.shape}] ${type}` : `[${vectors}·4] ${type}`;
}
