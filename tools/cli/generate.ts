/** `wgsl-diffusion generate`: a prompt in, pictures (or the final latents) out. */
import { Command } from "commander";
import { DiffusionError } from "../../engine/errors.ts";
import { writeSafetensors } from "../../engine/safetensors.ts";
import { readDepthFile, readImageFile } from "../../model/image/read.node.ts";
import type { OpenOptions } from "../../model/open-options.ts";
import { encodePng } from "../../model/png.node.ts";
import { type GenerateRequest, type GenerateResult, validateRequest } from "../../model/request.ts";
import { KEYWORD, ownRecord, pictureTexts } from "../metadata.ts";
import { VERSION } from "../version.node.ts";
import type { CliContext } from "./context.ts";
import { defaultModel } from "./default-model.node.ts";
import { localModel } from "./download.ts";
import { printable } from "./faults.ts";
import { declareOptions, type GenerateOptions, generateOptions } from "./options.ts";
import { type Output, openOutput } from "./output.node.ts";
import { createProgress } from "./progress.ts";

export function generateCommand(context: CliContext): Command {
  const command = new Command("generate")
    .description("paint pictures from a prompt")
    .argument("[prompt]", "what to paint; - reads it from standard input");
  return declareOptions(command).action(async (prompt, values) => {
    await generate(generateOptions(prompt, values), context);
  });
}

/** All that can be wrong with the request and the output is found before anything is loaded. */
async function generate(options: GenerateOptions, context: CliContext): Promise<void> {
  const request = await requestOf(options, context);
  validateRequest(request, ANY_CHECKPOINT);
  const output = openOutputOf(options, context);
  const result = await paint({ ...request, output: resultKind(output) }, options, context);
  const names = writeResult(result, output, options);
  report(result, names, options, context);
}

/** Stands in for a checkpoint that is not read yet: its ranges are those of every checkpoint. */
const ANY_CHECKPOINT = { width: 512, height: 512, scheduler: "ddim" };

/** The options that are the request's as they stand; what is absent stays absent. */
const FIELDS = [
  ...["negativePrompt", "steps", "guidanceScale", "guidanceRescale", "scheduler", "seed"],
  ...["width", "height", "numImages", "strength", "maskMode", "noiseLevel", "eta", "rng"],
  ...["tile", "tileOverlap"],
  ...["clipSkip", "promptSyntax", "vaeTiling", "watermark", "guidanceStart", "guidanceStop"],
  ...["guidanceSchedule", "guidanceFrom", "thresholding", "thresholdingRatio", "sampleMaxValue"],
  "mimicScale",
] as readonly (keyof GenerateOptions & keyof GenerateRequest)[];

/** Texts that name a choice are judged by `validateRequest`. Throws IMAGE_… for a picture that cannot be read. */
async function requestOf(
  options: GenerateOptions,
  { readInput }: CliContext,
): Promise<GenerateRequest> {
  const prompt =
    options.prompt === "-" ? (await readInput()).replace(/\r?\n$/, "") : options.prompt;
  const given = FIELDS.filter((name) => options[name] !== undefined);
  const { image, mask, depth } = options;
  return {
    prompt,
    ...(Object.fromEntries(given.map((name) => [name, options[name]])) as Partial<GenerateRequest>),
    ...(image !== undefined && { image: await readImageFile(image) }),
    ...(mask !== undefined && { mask: await readImageFile(mask) }),
    ...(depth !== undefined && { depth: await readDepthFile(depth) }),
  };
}

function openOutputOf(options: GenerateOptions, { terminal }: CliContext): Output {
  const toStdout = options.output === "-";
  if (toStdout && options.json)
    throw new DiffusionError("BAD_REQUEST", "-o - and --json both want standard output");
  if (toStdout && terminal.outIsTerminal)
    throw new DiffusionError("BAD_REQUEST", "-o - would write a picture to the terminal", {
      hint: "Send it to a program or a file: wgsl-diffusion generate ... -o - > out.png",
    });
  const latents = options.output?.toLowerCase().endsWith(".safetensors") ?? false;
  return openOutput({
    path: options.output,
    force: options.force,
    count: latents ? 1 : (options.numImages ?? 1),
    stdout: (data) => terminal.out(data),
  });
}

function resultKind(output: Output): "image" | "latent" {
  return output.kind === "safetensors" ? "latent" : "image";
}

async function paint(
  request: GenerateRequest,
  options: GenerateOptions,
  context: CliContext,
): Promise<GenerateResult> {
  const { load, terminal, signal } = context;
  const { model: named, quiet } = options;
  const model = named === undefined ? defaultModel() : await localModel(named, quiet, context);
  const progress = createProgress(terminal, options.quiet);
  const { dtype, strict, config } = options;
  const prediction = options.prediction as OpenOptions["prediction"];
  try {
    const onProgress = progress.load;
    await using pipeline = await load(model, {
      ...{ dtype, strict, signal, onProgress, prediction, config },
    });
    const result = await pipeline.generate({
      ...request,
      signal,
      onStep(event) {
        progress.step(event);
        if (options.json) writeJson(terminal, { ...event });
      },
    });
    const warnings = [...new Set([...(pipeline.warnings ?? []), ...result.warnings])];
    return { ...result, warnings };
  } finally {
    progress.end();
  }
}

function writeResult(result: GenerateResult, output: Output, options: GenerateOptions): string[] {
  if (output.kind === "safetensors") return [output.write(latentsFile(result, options), 0, 1)];
  const { images } = result;
  const files = images.map((image, i) =>
    encodePng(image, options.metadata ? pictureTexts(result, i, VERSION) : []),
  );
  return files.map((file, i) => output.write(file, i, files.length));
}

function latentsFile(result: GenerateResult, { metadata }: GenerateOptions): Uint8Array {
  if (!result.latents)
    throw new DiffusionError("INTERNAL", "the pipeline gave pictures instead of latents");
  const { data: values, shape } = result.latents;
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const record: [string, string] = [KEYWORD, JSON.stringify(ownRecord(result, 0, VERSION))];
  return writeSafetensors(
    new Map([["latents", { dtype: "F32", shape, data }]]),
    new Map(metadata ? [record] : []),
  );
}

function report(
  result: GenerateResult,
  names: readonly string[],
  options: GenerateOptions,
  { terminal }: CliContext,
): void {
  if (options.json) writeJson(terminal, jsonResult(result, names));
  if (options.json || options.quiet) return;
  for (const warning of result.warnings) terminal.err(`warning: ${printable(warning)}\n`);
  if (options.output === "-") return;
  for (const name of names) terminal.out(`wrote ${name} (${summary(result)})\n`);
}

function summary({ request, seed, timings }: GenerateResult): string {
  const { width, height, steps, scheduler } = request;
  const ms = Object.values(timings).reduce((sum, part) => sum + part, 0);
  const seconds = (timings.total ?? ms) / 1000;
  return `${width}x${height}, seed ${seed}, ${steps} steps of ${scheduler}, ${seconds.toFixed(1)} s`;
}

/** The last line of --json: the files, and all that is needed to repeat them. */
function jsonResult(result: GenerateResult, names: readonly string[]): Record<string, unknown> {
  const { seed, warnings, timings, request, model, latents } = result;
  return {
    images: latents ? [] : names,
    ...(latents ? { latents: names[0] } : {}),
    ...{ seed, timingsMs: timings, warnings, request, model },
  };
}

/** One line; names in snake_case, as the users of a shell and of Python expect. */
function writeJson(terminal: CliContext["terminal"], value: Record<string, unknown>): void {
  terminal.out(`${JSON.stringify(snakeKeys(value))}\n`);
}

function snakeKeys(value: unknown): unknown {
  if (Array.isArray(value)) return value.map(snakeKeys);
  if (typeof value !== "object" || value === null) return value;
  return Object.fromEntries(
    Object.entries(value).map(([key, inner]) => [
      key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`),
      snakeKeys(inner),
    ]),
  );
}
