/** `npm run bench -- cold`: from the start of a process to a picture on disk, part by part. */
import { mkdtempSync, rmSync, statSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { spread } from "./stats.ts";
import { talkingProcess } from "./talking-process.ts";

/** In the order that they happen; `compile` and `weights` overlap within `load`. */
export const COLD_PARTS = [
  ...["node", "import", "device", "open", "load", "compile", "weights"],
  ...["text", "loop", "decode", "png"],
] as const;

export interface ColdRow {
  readonly dtype: string;
  readonly steps: number;
  readonly side: number;
  readonly runs: number;
  readonly pipelines: number;
  /** From before the process started until the file was written; medians of the runs, as the parts. */
  readonly totalMs: number;
  /** CPU time of the process. */
  readonly cpuMs: number;
  readonly parts: Readonly<Record<string, number>>;
}

export interface ColdOptions {
  readonly directory: string;
  readonly dtype: string;
  readonly steps: number;
  readonly runs: number;
}

/** What the process says. */
export type ColdTimes = Omit<ColdRow, "totalMs" | "runs"> & { readonly startedAt: number };

/** Throws if a process fails, with what it said. */
export async function benchCold(options: ColdOptions): Promise<ColdRow> {
  const runs: (ColdTimes & { totalMs: number })[] = [];
  for (let run = 0; run < options.runs; run++) runs.push(await once(options));
  const middle = (of: (row: (typeof runs)[number]) => number) => spread(runs.map(of)).median;
  const names = Object.keys(runs[0]!.parts);
  const { dtype, steps, side, pipelines } = runs[0]!;
  return {
    ...{ dtype, steps, side, pipelines, runs: runs.length },
    totalMs: middle(({ totalMs }) => totalMs),
    cpuMs: middle(({ cpuMs }) => cpuMs),
    parts: Object.fromEntries(names.map((name) => [name, middle(({ parts }) => parts[name]!)])),
  };
}

async function once(options: ColdOptions): Promise<ColdTimes & { totalMs: number }> {
  const folder = mkdtempSync(join(tmpdir(), "wgsl-diffusion-cold-"));
  const output = join(folder, "first.png");
  const start = Date.now();
  try {
    const argument = JSON.stringify({ ...options, output });
    const said: ColdTimes = JSON.parse(await talkingProcess("cold-process.ts", argument));
    const totalMs = statSync(output).mtimeMs - start;
    return { ...said, totalMs, parts: { node: said.startedAt - start, ...said.parts } };
  } finally {
    rmSync(folder, { recursive: true });
  }
}
