/** The tables of single operations, networks, pictures and other engines. */

import { table } from "../tools/verify/report.ts";
import type { ImageRow } from "./image.ts";
import type { NetworkRow } from "./networks.ts";
import type { PeerRow } from "./peers/contest.ts";
import { loadResults, type Result } from "./results.ts";
import type { Stamp } from "./stats.ts";
import type { Suite } from "./suite.ts";
import { digits, origin } from "./table.ts";

const TIMES = ["median, ms", "p10–p90", "CPU, ms"];
const NOT_YET = "Not measured on a quiet machine yet: `npm run bench -- all`.";

export function suiteTable(results: Result<Suite>[] = loadResults("kernels")): string {
  const texts = results.map((result) => {
    const { peaks, rows } = result.values;
    const peak = (name: "copy" | "f32" | "f16", unit: number) =>
      `${digits((peaks[name]?.rate ?? Number.NaN) / unit)}${peaks[name]?.byCpu ? ` (${digits(peaks[name].byCpu / unit)} by CPU time)` : ""}`;
    const roofs = `Roofline: copy ${peak("copy", 1e9)} GB/s, multiply-adds f32 ${peak("f32", 1e9)} GFLOP/s${peaks.f16 ? `, f16 ${peak("f16", 1e9)} GFLOP/s` : ""}. Load average ${result.load}.`;
    const cells = rows.map((row) => [
      ...[row.name, row.dtype, row.error.toExponential(1), String(row.runs), ...times(row)],
      ...[digits(row.gbps), digits(1000 * row.tflops), percent(row.roofline)],
      row.rooflineByCpu === null ? "–" : percent(row.rooflineByCpu),
    ]);
    const rates = ["GB/s", "GFLOP/s", "of roofline", "by CPU time"];
    const head = ["operation", "dtype", "error", "runs", ...TIMES, ...rates];
    return `${origin([result])}\n\n${roofs}\n\n${table(head, cells, 2)}`;
  });
  return texts.join("\n\n") || NOT_YET;
}

export function networkTable(
  results: Result<NetworkRow>[] = [
    ...loadResults<NetworkRow>("unet"),
    ...loadResults<NetworkRow>("vae"),
  ],
): string {
  if (results.length === 0) return NOT_YET;
  const rows = results.map(({ values: v, load }) => [
    ...[`${v.network}, batch ${v.batch}, latents ${v.side}x${v.side}`, v.dtype, String(v.runs)],
    ...[...times(v), digits(v.gbps), digits(1000 * v.tflops), String(v.dispatches)],
    ...[top(v), String(load)],
  ]);
  const head = ["network", "dtype", "runs", ...TIMES, "GB/s", "GFLOP/s", "dispatches"];
  return `${origin(results)}\n\n${table([...head, "dearest kernels", "load average"], rows, 2)}`;
}

export function imageTable(results: Result<ImageRow>[] = loadResults("image")): string {
  if (results.length === 0) return NOT_YET;
  const rows = results.map(({ values: v, load }) => [
    ...[`${v.side}x${v.side}, ${v.steps} steps`, v.dtype],
    ...[v.coldMs, v.coldCpuMs, v.warmMs, v.warmCpuMs].map((ms) => digits(ms / 1000)),
    String(load),
  ]);
  const head = ["picture", "dtype", "first, s", "its CPU time, s", "next, s", "its CPU time, s"];
  return `${origin(results)}\n\n${table([...head, "load average"], rows, 2)}`;
}

export function peerTable(results: Result<PeerRow[]>[] = loadResults("peers")): string {
  if (results.length === 0) return NOT_YET;
  const rows = results.flatMap(({ values }) =>
    values.map((row) => [
      ...[row.name, `${row.peer} ${row.version}${row.note ? ` (${row.note})` : ""}`],
      verdict(row),
      ...(row.right ? [String(row.runs), ...times(row)] : ["–", "–", "–", "–"]),
    ]),
  );
  const head = ["operation", "engine", "error", "runs", ...TIMES];
  return `${origin(results)}\n\n${table(head, rows, 2)}`;
}

/** What became of a contestant, in a word. */
export function verdict({ failure, right, error }: PeerRow): string {
  if (failure !== null) return `fails: ${failure.replaceAll("|", "\\|")}`;
  const size = error === null ? "no number" : error.toExponential(1);
  return right ? size : `**wrong**: ${size}`;
}

export function times({ ms, cpuMs }: Stamp): string[] {
  if (!ms) return ["–", "–", "–"];
  return [digits(ms.median), `${digits(ms.p10)}–${digits(ms.p90)}`, digits(cpuMs?.median)];
}

const percent = (share: number): string => `${(100 * share).toFixed(1)} %`;

function top({ kernels }: NetworkRow): string {
  return kernels
    .slice(0, 3)
    .map(({ kernel, share }) => `${kernel} ${percent(share)}`)
    .join(", ");
}
