/** The tables of bench/README.md, made from the results that are there. */
import { readFileSync, writeFileSync } from "node:fs";
import { table } from "../tools/verify/report.ts";
import type { FullSizeRow } from "./full-size.ts";
import type { KernelRow } from "./kernels.ts";
import { coldTable, growthTable, unetPeerTable } from "./latest-tables.ts";
import { imageTable, networkTable, peerTable, suiteTable } from "./more-tables.ts";
import { loadResults, type Result } from "./results.ts";
import { origin } from "./table.ts";
import type { TaskResult } from "./tasks.ts";

const README = new URL("./README.md", import.meta.url);

/** Writes each table anew between its markers. */
export function writeTables(): void {
  const tables = {
    "full-size": fullSizeTables(),
    tasks: taskTable(),
    products: productTable(),
    kernels: suiteTable(),
    networks: networkTable(),
    image: imageTable(),
    cold: coldTable(),
    growth: growthTable(),
    "whole-unets": unetPeerTable(),
    peers: peerTable(),
  };
  let page = readFileSync(README, "utf8");
  for (const [name, text] of Object.entries(tables)) page = replaced(page, name, text);
  writeFileSync(README, page);
}

function replaced(page: string, name: string, text: string): string {
  const [open, close] = [`<!-- ${name} -->`, `<!-- /${name} -->`];
  const [start, end] = [page.indexOf(open), page.indexOf(close)];
  if (start < 0 || end < start) throw new Error(`bench/README.md has lost its markers ${open}`);
  return `${page.slice(0, start + open.length)}\n${text}\n${page.slice(end)}`;
}

function fullSizeTables(): string {
  const results: Result<FullSizeRow>[] = loadResults("full-");
  const errors = results.map(({ values: v, load }) => [
    stageName(v),
    v.dtype,
    v.maxError.toExponential(1),
    v.rmsError.toExponential(1),
    seconds(v.loadMs),
    seconds(v.firstRunMs),
    seconds(v.runMs),
    seconds(v.runCpuMs),
    String(load),
  ]);
  const sizes = results.map(({ values: v }) => [
    stageName(v),
    v.dtype,
    megabytes(v.hostPeakBytes),
    megabytes(v.largestReadBytes),
    megabytes(v.weightBytes),
    megabytes(v.activationBytes),
    String(v.dispatches),
    (v.flops / 1e9).toFixed(1),
  ]);
  return [
    origin(results),
    table(["network", "dtype", ...ERRORS], errors, 2),
    table(["network", "dtype", ...SIZES], sizes, 2),
  ].join("\n\n");
}

const ERRORS = [
  "max error",
  "rms error",
  "load, s",
  "first run, s",
  "run, s",
  "CPU time of a run, s",
  "load average",
];
const SIZES = [
  "host peak, MB",
  "largest read, MB",
  "weights, MB",
  "activations, MB",
  "dispatches",
  "GFLOP",
];

function stageName({ stage, side }: FullSizeRow): string {
  if (stage === "text") return "text encoder, 2 x 77 tokens";
  return stage === "unet"
    ? `UNet, batch 2, latents ${side}x${side}`
    : `VAE decoder, latents ${side}x${side}`;
}

/** One line for each form and dtype: the UNet by itself, and the whole way. */
function taskTable(): string {
  const results: Result<TaskResult>[] = loadResults("task-");
  if (results.length === 0) return "Not measured yet.";
  const rows = results.map(({ values: v, load }) => {
    const row = (name: RegExp) => v.rows.find((each) => name.test(each.name));
    const cost = (name: string) => v.costs.find((each) => each.name === name);
    const error = (name: RegExp) => row(name)?.maxError.toExponential(1) ?? "–";
    const [unet, picture] = [cost("UNet"), cost("whole picture")];
    return [
      `${v.form}, ${v.layout}`,
      v.dtype,
      error(/^UNet/),
      error(/^DPT|^noise level/),
      error(/final latents/),
      row(/^whole picture$/)?.psnr?.toFixed(1) ?? "equal",
      seconds(unet?.runMs ?? 0),
      seconds(picture?.runMs ?? 0),
      seconds(picture?.totalMs ?? 0),
      megabytes(Math.max(...v.costs.map(({ hostPeakBytes }) => hostPeakBytes))),
      megabytes(picture?.gpuBytes ?? 0),
      String(unet?.dispatches ?? 0),
      String(load),
    ];
  });
  return [origin(results), table(["form", "dtype", ...TASK_HEAD], rows, 2)].join("\n\n");
}

const TASK_HEAD = [
  "UNet, max",
  "depth or level, max",
  "latents, max",
  "picture, dB",
  "UNet, s",
  "picture, s",
  "with loading, s",
  "host peak, MB",
  "GPU, MB",
  "dispatches of a step",
  "load average",
];

function productTable(): string {
  const results = loadResults<KernelRow[]>("products");
  const rows = results.flatMap(({ values, load }) =>
    values.map((row) => [
      row.name,
      row.dtype,
      row.wallMs.toFixed(0),
      row.cpuMs.toFixed(0),
      row.gflops.toFixed(1),
      row.gflopsByCpu.toFixed(1),
      String(load),
    ]),
  );
  return [origin(results), table(["product", "dtype", ...SPEEDS], rows, 2)].join("\n\n");
}

const SPEEDS = ["wall, ms", "CPU, ms", "GFLOP/s", "GFLOP/s by CPU time", "load average"];

const seconds = (ms: number) => (ms / 1000).toFixed(1);
const megabytes = (bytes: number) => (bytes / 1e6).toFixed(1);
