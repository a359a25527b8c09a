/** The tables of whole UNets beside other engines, of growth and of a cold start. */

import { table } from "../tools/verify/report.ts";
import { COLD_PARTS, type ColdRow } from "./cold.ts";
import type { GrowthRow } from "./growth.ts";
import { times, verdict } from "./more-tables.ts";
import type { PeerRow } from "./peers/contest.ts";
import { loadResults, type Result } from "./results.ts";
import { digits, origin } from "./table.ts";

const NOT_YET = "Not measured on a quiet machine yet: `npm run bench -- all`.";

export function unetPeerTable(results: Result<PeerRow[]>[] = loadResults("whole-unets")): string {
  if (results.length === 0) return NOT_YET;
  const rows = results.flatMap(({ values }) =>
    values.map((row) => [
      ...[row.name, `${row.peer} ${row.version}${row.note ? ` (${row.note})` : ""}`],
      verdict(row),
      ...(row.right ? [String(row.runs), ...times(row), againstOurs(row, values)] : NOTHING),
    ]),
  );
  const head = ["network", "engine", "error", "runs", "median, ms", "p10–p90", "CPU, ms"];
  return `${origin(results)}\n\n${table([...head, "times ours"], rows, 2)}`;
}

const NOTHING = ["–", "–", "–", "–", "–"];

/** By the least disturbed runs: p10 by the clock, the median by CPU time. */
function againstOurs(row: PeerRow, rows: readonly PeerRow[]): string {
  const ours = rows.find(({ name }) => name === row.name);
  if (!ours?.ms || !row.ms) return "–";
  const byClock = row.ms.p10 / ours.ms.p10;
  const byCpu = ours.cpuMs && row.cpuMs ? row.cpuMs.median / ours.cpuMs.median : undefined;
  return byCpu === undefined ? digits(byClock) : `${digits(byClock)} (CPU ${digits(byCpu)})`;
}

/** Each group against its first row: what grows, and by how much time and FLOPs grow. */
export function growthTable(results: Result<GrowthRow[]>[] = loadResults("growth")): string {
  if (results.length === 0) return NOT_YET;
  const rows = results.flatMap(({ values }) =>
    values.map((row) => {
      const first = values.find(({ group }) => group === row.group)!;
      const unet = row.channels.length > 0;
      return [
        unet ? `UNet of ${row.channels.join(", ")} channels` : "loop of the checkpoint that ships",
        `${row.side}x${row.side}`,
        ...[String(row.batch), String(row.steps), String(row.runs)],
        ...[digits(row.ms?.median), digits(row.cpuMs?.median)],
        ratio(row.ms?.median, first.ms?.median),
        ...(unet ? [digits(row.gflop), ratio(row.gflop, first.gflop)] : ["–", "–"]),
        ...(unet ? [digits(row.gflop / (row.ms!.median / 1000)), digits(row.movedMb)] : ["–", "–"]),
        unet ? digits(row.activationMb) : "–",
      ];
    }),
  );
  const sizes = ["network", "size", "batch", "steps", "runs", "ms", "CPU, ms", "times the first"];
  const costs = ["GFLOP", "times the first", "GFLOP/s", "moved, MB", "activations, MB"];
  return `${origin(results)}\n\n${table([...sizes, ...costs], rows, 2)}`;
}

function ratio(value: number | undefined, first: number | undefined): string {
  return value === undefined || first === undefined ? "–" : digits(value / first);
}

export function coldTable(results: Result<ColdRow>[] = loadResults("cold")): string {
  if (results.length === 0) return NOT_YET;
  const rows = results.map(({ values: v, load }) => [
    ...[`${v.side}x${v.side}, ${v.steps} steps`, v.dtype, digits(v.totalMs / 1000)],
    ...[digits(v.cpuMs / 1000), String(v.pipelines)],
    ...COLD_PARTS.map((part) => (v.parts[part] ?? Number.NaN).toFixed(0)),
    String(load),
  ]);
  const head = ["picture", "dtype", "in all, s", "CPU time, s", "pipelines"];
  const parts = COLD_PARTS.map((part) => `${part}, ms`);
  return `${origin(results)}\n\n${table([...head, ...parts, "load average"], rows, 2)}`;
}
