/** What was found, as Markdown and as JSON. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import type { Cost, Found, Row } from "./verify.ts";

export interface Report extends Found {
  readonly model: string;
  /** What the checkpoint is, and who says so. */
  readonly kind: string;
  readonly prediction: string;
  /** diffusers' class. */
  readonly pipeline: string;
  readonly adapter: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly settings: Readonly<Record<string, unknown>>;
  readonly notes: readonly string[];
  readonly ok: boolean;
}

/** Writes report.md and report.json into `folder`. */
export function writeReport(folder: string, report: Report): void {
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "report.md"), markdown(report));
  writeFileSync(join(folder, "report.json"), `${JSON.stringify(report, null, 2)}\n`);
}

export function markdown(report: Report): string {
  const { rows, ok, settings, versions } = report;
  const failed = rows.filter((row) => !row.ok);
  const verdict = ok
    ? `**All ${rows.length} comparisons are within their bounds.**`
    : `**${failed.length} of ${rows.length} comparisons are beyond their bounds; the first: ${failed[0]!.name} (${failed[0]!.dtype}).**`;
  const list = (values: Readonly<Record<string, unknown>>) =>
    Object.entries(values).map(([name, value]) => `${name} ${value}`);
  return [
    `# ${report.model} against diffusers`,
    verdict,
    [
      `- model: ${report.kind}, predicts ${report.prediction}; diffusers' ${report.pipeline}`,
      `- adapter: ${report.adapter}`,
      `- versions: ${list(versions).join(", ")}`,
      `- asked: ${list(settings).join(", ")}`,
      ...report.notes.map((note) => `- note: ${note}`),
    ].join("\n"),
    "Each stage gets the inputs that diffusers had, so errors do not add up; `picture` is the whole way from words and seed. *max* is max|Δ| / max|reference|, *rms* rms(Δ) / rms(reference), both against diffusers in f32 on the CPU.",
    table(HEAD, rows.map(cells), 4),
    "## What it took",
    table(COST_HEAD, report.costs.map(costCells), 2),
    "",
  ].join("\n\n");
}

const HEAD = ["stage", "what", "dtype", "shape", "max", "rms", "PSNR, dB", "wanted", "verdict"];

function cells(row: Row): string[] {
  return [
    row.stage,
    row.name,
    // What the host computes is of no dtype.
    row.kind === "exact" || row.kind === "host" ? "–" : row.dtype,
    row.shape.join("x"),
    row.maxError.toExponential(1),
    row.rmsError.toExponential(1),
    row.psnr === undefined ? "" : decibels(row.psnr),
    row.wanted,
    row.ok ? "ok" : "**FAILS**",
  ];
}

function decibels(psnr: number): string {
  return psnr === Number.POSITIVE_INFINITY ? "equal" : psnr.toFixed(1);
}

const COST_HEAD = ["case", "dtype", "all, s", "run, s", "CPU, s", "host peak, MB", "GPU, MB"];

function costCells(cost: Cost): string[] {
  const seconds = (ms: number | null) => (ms === null ? "" : (ms / 1000).toFixed(1));
  const megabytes = (bytes: number | null) => (bytes === null ? "" : (bytes / 1e6).toFixed(1));
  const times = [seconds(cost.totalMs), seconds(cost.runMs), seconds(cost.cpuMs)];
  return [cost.name, cost.dtype, ...times, megabytes(cost.hostPeakBytes), megabytes(cost.gpuBytes)];
}

/** The first `names` columns hold words, the others numbers. */
export function table(
  head: readonly string[],
  rows: readonly (readonly string[])[],
  names: number,
): string {
  const rule = head.map((_, i) => (i < names ? "---" : "--:"));
  return [head, rule, ...rows].map((cells) => `| ${cells.join(" | ")} |`).join("\n");
}
