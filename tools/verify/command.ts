/** The command: diffusers first, then ours on the same inputs, then the report. */
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { basename, join, resolve } from "node:path";
import { type Device, openDevice } from "../../engine/index.ts";
import type { Detected } from "../../model/detect.ts";
import { openModel } from "../../model/open.node.ts";
import type { CliContext } from "../cli/context.ts";
import { VERSION } from "../version.node.ts";
import type { Wanted } from "./arguments.ts";
import { type Dump, openDump } from "./dump.ts";
import { runReference } from "./python.ts";
import { type Report, writeReport } from "./report.ts";
import { DEFAULTS, fullSize, type Settings } from "./settings.ts";
import { type Row, verify } from "./verify.ts";

/**
 * Whether everything is within its bounds. Results go to standard output and into `wanted.out`. Throws
 * NO_PYTHON, PYTHON_PACKAGE, PYTHON_FAILED, and what opening and running the checkpoint throw.
 */
export async function compareWithDiffusers(
  wanted: Wanted,
  terminal: Pick<CliContext["terminal"], "out" | "err">,
): Promise<boolean> {
  const report = await reportOn(wanted, {
    onStage: (stage) => terminal.err(`diffusers: ${stage}\n`),
    onRow: (row) => terminal.out(`${lineOf(row)}\n`),
  });
  writeReport(wanted.out, report);
  const failed = report.rows.filter((row) => !row.ok).length;
  const verdict = report.ok ? "all within bounds" : `${failed} beyond their bounds`;
  terminal.out(`${report.rows.length} comparisons, ${verdict}: ${join(wanted.out, "report.md")}\n`);
  return report.ok;
}

export interface Listener {
  readonly onStage?: (stage: string) => void;
  readonly onRow?: (row: Row) => void;
}

/** The comparison as a value; writes nothing but what `record` asks for. */
export async function reportOn(wanted: Wanted, listener: Listener = {}): Promise<Report> {
  const { model, config, prediction, dtypes } = wanted;
  const { detected, settings } = await inspect(wanted);
  const dump = await recordedDump(wanted, detected, settings, listener);
  const device = await openDevice();
  try {
    const options = { device, dtypes, config, prediction, onRow: listener.onRow };
    const found = await verify(model, dump, options);
    return {
      // Where a checkpoint lies on this machine is nobody's business.
      model: basename(resolve(model)),
      kind: detected.kind,
      prediction: `${detected.prediction} (by ${detected.by})`,
      pipeline: dump.pipeline,
      adapter: device.info.description || device.info.device,
      versions: { ...versions(), ...dump.versions },
      settings: shown(settings),
      notes: [...dump.notes, ...deviceNotes(device, dtypes)],
      ok: found.rows.length > 0 && found.rows.every((row) => row.ok),
      ...found,
    };
  } finally {
    device.destroy();
  }
}

/** Opens our side first: what is no checkpoint is told before Python starts. */
async function inspect({ model, config, prediction, full, settings }: Wanted) {
  await using folder = await openModel(model, { config, prediction });
  const size = full ? fullSize(folder) : {};
  return { detected: folder.detected, settings: { ...DEFAULTS, ...size, ...settings } };
}

async function recordedDump(
  { reference, record, recorded, python, config }: Wanted,
  { prediction }: Detected,
  settings: Settings,
  { onStage }: Listener,
): Promise<Dump> {
  if (recorded !== undefined) return openDump(recorded);
  const into = record ?? mkdtempSync(join(tmpdir(), "wgsl-diffusion-recorded-"));
  try {
    await runReference({ python, model: reference, into, settings, prediction, config, onStage });
    return await openDump(into);
  } finally {
    if (record === undefined) rmSync(into, { recursive: true, force: true });
  }
}

function versions(): Record<string, string> {
  const dawn = createRequire(import.meta.url)("webgpu/package.json").version as string;
  return { "wgsl-diffusion": VERSION, webgpu: dawn, node: process.version };
}

function shown({ prompts, stages, scheduler, ...rest }: Settings): Record<string, unknown> {
  return { ...rest, scheduler: scheduler ?? "its own", stages: stages?.join(" + ") ?? "all" };
}

function deviceNotes({ target }: Device, dtypes: Wanted["dtypes"]): string[] {
  const packed = dtypes.includes("f16") && !target.features.has("shader-f16");
  return packed ? ["the adapter lacks shader-f16: halves are stored packed"] : [];
}

function lineOf({ stage, name, dtype, kind, maxError, psnr, wanted, ok }: Row): string {
  const what = stage === name || name.startsWith(stage) ? name : `${stage}: ${name}`;
  const found = kind === "picture" ? `${psnr!.toFixed(1)} dB` : maxError.toExponential(1);
  return `${ok ? "ok   " : "FAILS"} ${dtype} ${what}: ${found} (wanted ${wanted})`;
}
