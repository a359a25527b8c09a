/** `wgsl-diffusion inspect`: what is in a safetensors file, a checkpoint's folder, or a picture. */
import { existsSync, readdirSync, readFileSync, statSync } from "node:fs";
import { join } from "node:path";
import { Command } from "commander";
import { DiffusionError } from "../../engine/errors.ts";
import { openFile } from "../../engine/platform/file.node.ts";
import { type ByteSource, readSafetensors, type StoredTensor } from "../../engine/safetensors.ts";
import type { Detected } from "../../model/detect.ts";
import { guessFile } from "../../model/expected/guess.ts";
import { readPng } from "../../model/png.node.ts";
import { openSingleFile } from "../../model/single-file.ts";
import { type PictureText, recordOf } from "../metadata.ts";
import { parseWebUi } from "../web-ui.ts";
import type { CliContext } from "./context.ts";
import { printable } from "./faults.ts";
import { repeatCommand } from "./repeat.ts";

export function inspectCommand({ terminal }: CliContext): Command {
  return new Command("inspect")
    .description("say what a safetensors file, a checkpoint's folder or a painted PNG holds")
    .argument("<path>", "the file or folder")
    .option("--all", "list every tensor")
    .option("--json", "one JSON object on standard output")
    .action(async (path: string, { all, json }: { all?: boolean; json?: boolean }) => {
      const summary = await inspect(path);
      if (json) terminal.out(`${JSON.stringify(summary)}\n`);
      else
        terminal.out(
          `${textOf(summary, all === true)
            .map(printable)
            .join("\n")}\n`,
        );
    });
}

export type Summary = WeightsSummary | FolderSummary | PictureSummary;

export interface WeightsSummary {
  readonly kind: "safetensors";
  /** What a whole checkpoint in one file is. */
  readonly detected?: Detected;
  /** What the file is otherwise, where its names tell. */
  readonly note?: string;
  readonly file: string;
  readonly parameters: number;
  readonly bytes: number;
  readonly dtypes: Readonly<Record<string, { tensors: number; bytes: number }>>;
  readonly metadata: Readonly<Record<string, string>>;
  readonly tensors: readonly { name: string; dtype: string; shape: readonly number[] }[];
}

export interface FolderSummary {
  readonly kind: "folder";
  readonly folder: string;
  /** `_class_name` of model_index.json. */
  readonly pipeline: string | undefined;
  readonly parts: readonly PartSummary[];
}

export interface PartSummary {
  readonly name: string;
  /** `_class_name` or `architectures` of its config. */
  readonly type: string | undefined;
  readonly weights: readonly Omit<WeightsSummary, "tensors">[];
}

export interface PictureSummary {
  readonly kind: "png";
  readonly file: string;
  readonly width: number;
  readonly height: number;
  /** The request that made it, where the picture says so. */
  readonly record: unknown;
  /** The same as the web UI and its kin say it, with their names. */
  readonly parameters: PictureParameters | undefined;
  /** What to type to paint it again. */
  readonly command: string | undefined;
  readonly texts: readonly PictureText[];
}

export interface PictureParameters {
  readonly prompt: string;
  readonly negativePrompt: string;
  readonly fields: readonly (readonly [key: string, value: string])[];
}

/** Reads headers only. Throws WEIGHTS_* or IMAGE_* for what cannot be read. */
export async function inspect(path: string): Promise<Summary> {
  if (path.includes("\0")) throw new DiffusionError("PATH", "a file's name cannot hold NUL");
  if (existsSync(path) && statSync(path).isDirectory()) return inspectFolder(path);
  const source = await openFile(path);
  try {
    const head = await source.read(0, Math.min(8, source.size));
    if (head[0] === 0x89 && head[1] === 0x50) return inspectPicture(path, source.size);
    return await inspectTensors(source);
  } finally {
    await source.close();
  }
}

/** What `source` holds and, where names and shapes tell it, what model that is. Only headers are read. */
export async function inspectTensors(source: ByteSource): Promise<WeightsSummary> {
  const summary = await summarize(source);
  if (!summary.tensors.some(({ name }) => LDM_UNET.test(name))) {
    const guess = guessFile(new Map(summary.tensors.map((tensor) => [tensor.name, tensor])));
    return guess === undefined ? summary : { ...summary, note: `looks like ${guess}` };
  }
  try {
    // The source is the caller's to close.
    const { detected } = await openSingleFile(source);
    return { ...summary, detected };
  } catch (error) {
    if (!(error instanceof DiffusionError)) throw error;
    return { ...summary, note: `cannot be run: ${error.message}` };
  }
}

const LDM_UNET = /^model(?:\.diffusion_model\.|_ema\.)/;

async function summarize(source: ByteSource): Promise<WeightsSummary> {
  const { tensors, metadata } = await readSafetensors(source);
  const list = [...tensors.values()];
  return {
    kind: "safetensors",
    file: source.name,
    parameters: list.reduce((sum, { shape }) => sum + elements(shape), 0),
    bytes: list.reduce((sum, { byteLength }) => sum + byteLength, 0),
    dtypes: countDtypes(list),
    metadata: Object.fromEntries(metadata),
    tensors: list.map(({ name, dtype, shape }) => ({ name, dtype, shape })),
  };
}

function elements(shape: readonly number[]): number {
  return shape.reduce((product, size) => product * size, 1);
}

function countDtypes(tensors: readonly StoredTensor[]): WeightsSummary["dtypes"] {
  const counts: Record<string, { tensors: number; bytes: number }> = {};
  for (const { dtype, byteLength } of tensors) {
    counts[dtype] ??= { tensors: 0, bytes: 0 };
    counts[dtype].tensors++;
    counts[dtype].bytes += byteLength;
  }
  return counts;
}

async function inspectFolder(folder: string): Promise<FolderSummary> {
  const names = readdirSync(folder, { withFileTypes: true });
  const parts: PartSummary[] = [];
  for (const part of names
    .filter((entry) => entry.isDirectory())
    .map(({ name }) => name)
    .sort())
    parts.push(await inspectPart(folder, part));
  const loose = await weightsIn(folder);
  if (loose.length > 0) parts.push({ name: ".", type: undefined, weights: loose });
  return { kind: "folder", folder, pipeline: className(join(folder, "model_index.json")), parts };
}

async function inspectPart(folder: string, name: string): Promise<PartSummary> {
  const path = join(folder, name);
  const configs = readdirSync(path)
    .filter((file) => /config\.json$/.test(file))
    .sort();
  const type = configs.map((file) => className(join(path, file))).find(Boolean);
  return { name, type, weights: await weightsIn(path) };
}

async function weightsIn(folder: string): Promise<Omit<WeightsSummary, "tensors">[]> {
  const files = readdirSync(folder)
    .filter((name) => name.endsWith(".safetensors"))
    .sort();
  const summaries = [];
  for (const file of files) {
    const source = await openFile(join(folder, file));
    try {
      const { tensors: _, ...summary } = await summarize(source);
      summaries.push(summary);
    } finally {
      await source.close();
    }
  }
  return summaries;
}

function className(file: string): string | undefined {
  try {
    const config = JSON.parse(readFileSync(file, "utf8"));
    return config._class_name ?? config.architectures?.[0] ?? config.tokenizer_class;
  } catch {
    return undefined;
  }
}

/** More than any picture of ours; only its texts are wanted. */
const MAX_PICTURE_BYTES = 256 * 2 ** 20;

function inspectPicture(file: string, size: number): PictureSummary {
  if (size > MAX_PICTURE_BYTES)
    throw new DiffusionError("IMAGE_CORRUPT", `${file} has ${size} bytes, too many for a picture`);
  const { width, height, texts } = readPng(readFileSync(file), file);
  return {
    ...{ kind: "png", file, width, height, record: recordOf(texts) },
    ...{ parameters: parametersOf(texts), command: repeatCommand(texts), texts },
  };
}

/** A list of pairs: as the keys of an object, foreign names would mean something. */
function parametersOf(texts: readonly PictureText[]): PictureParameters | undefined {
  const own = texts.find(({ keyword }) => keyword === "parameters");
  if (!own) return undefined;
  const { fields, ...prompts } = parseWebUi(own.text);
  return { ...prompts, fields: [...fields] };
}

/** The summary as `inspect` prints it, a line each. */
export function textOf(summary: Summary, all: boolean): string[] {
  if (summary.kind === "png") return pictureLines(summary);
  if (summary.kind === "folder") return folderLines(summary);
  return [
    weightsLine(summary),
    ...modelLines(summary),
    ...metadataLines(summary),
    ...tensorLines(summary, all),
  ];
}

function weightsLine({ file, parameters, bytes, dtypes }: Omit<WeightsSummary, "tensors">): string {
  const kinds = Object.entries(dtypes).map(([dtype, { tensors }]) => `${tensors} ${dtype}`);
  return `${file}: ${kinds.join(", ")} tensors, ${amount(parameters).trim()} parameters, ${amount(bytes)}B`;
}

const SAYS: Readonly<Record<Detected["by"], string>> = {
  option: "so you say",
  config: "so its configuration says",
  kind: "as all of its kind",
  "norm-bias": "told by a norm's bias",
};

function modelLines({ detected, note }: WeightsSummary): string[] {
  if (!detected) return note === undefined ? [] : note.split("\n");
  const { kind, prediction, by, normBias, layout } = detected;
  const measured = normBias === undefined ? "" : `, ${normBias.toFixed(3)}`;
  const names = layout === "ldm-ema" ? "original naming, moving average only" : "original naming";
  return [`Stable Diffusion 2 (${kind}), ${prediction} (${SAYS[by]}${measured}), ${names}`];
}

function amount(n: number): string {
  const unit = UNITS.find(([, size]) => n >= size);
  return unit ? `${(n / unit[1]).toFixed(1)} ${unit[0]}` : `${n} `;
}

const UNITS: readonly (readonly [string, number])[] = [
  ["G", 1e9],
  ["M", 1e6],
  ["k", 1e3],
];

function metadataLines({ metadata }: WeightsSummary): string[] {
  return Object.entries(metadata).map(([key, value]) => `${key}: ${value.slice(0, 400)}`);
}

function tensorLines({ tensors }: WeightsSummary, all: boolean): string[] {
  const shown = all ? tensors : tensors.slice(0, 20);
  const lines = shown.map(({ name, dtype, shape }) => `  ${name}  ${dtype} [${shape.join(", ")}]`);
  const more = tensors.length - shown.length;
  return more > 0 ? [...lines, `  ... and ${more} more (--all lists them)`] : lines;
}

function folderLines({ folder, pipeline, parts }: FolderSummary): string[] {
  const lines = parts.flatMap(({ name, type, weights }) => [
    `  ${name}: ${type ?? "?"}`,
    ...weights.map((each) => `    ${weightsLine(each)}`),
  ]);
  return [`${folder}: ${pipeline ?? "no model_index.json"}`, ...lines];
}

function pictureLines({ file, width, height, texts, command }: PictureSummary): string[] {
  const lines = texts.flatMap(({ keyword, text }) => [`${keyword}:`, ...indent(text)]);
  const repeat = command ? ["paint it again:", `  ${command}`] : [];
  return [`${file}: PNG ${width}x${height}`, ...lines, ...repeat];
}

function indent(text: string): string[] {
  return text
    .slice(0, 10_000)
    .split("\n")
    .map((line) => `  ${line}`);
}
