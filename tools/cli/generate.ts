/** `wgsl-diffusion generate`: a prompt in, pictures (or the final latents) out. */
import { Command } from "commander";
import { DiffusionError } from "../../engine/errors.ts";
import { writeSafetensors } from "../../engine/safetensors.ts";
import { readDepthFile, readImageFile } from "../../model/image/read.node.ts";
import { encodePng } from "../../model/png.node.ts";
import { type GenerateRequest, type GenerateResult, validateRequest } from "../../model/request.ts";
import { isSheet, type SheetRequest } from "../../model/sheet/axes.ts";
import { KEYWORD, ownRecord, pictureTexts } from "../metadata.ts";
import { VERSION } from "../version.node.ts";
import type { CliContext } from "./context.ts";
import { printable } from "./faults.ts";
import { declareOptions, type GenerateOptions, generateOptions, givenOptions } from "./options.ts";
import type { Output } from "./output.node.ts";
import { generateSheet } from "./sheet.ts";
import { ANY_CHECKPOINT, openOutputOf, withPipeline, writeJson } from "./work.ts";

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
  const given = await requestOf(options, context);
  if (isSheet(given)) return generateSheet(given, options, context);
  const request = given as GenerateRequest;
  validateRequest(request, ANY_CHECKPOINT);
  const output = openOutputOf(options, context);
  const result = await paint({ ...request, output: resultKind(output) }, options, context);
  const names = writeResult(result, output, options);
  report(result, names, options, context);
}

/** The options that are the request's as they stand; what is absent stays absent. */
const FIELDS = [
  ...["negativePrompt", "steps", "guidanceScale", "guidanceRescale", "scheduler", "seed"],
  ...["width", "height", "numImages", "strength", "maskMode", "noiseLevel", "eta", "rng"],
  ...["tile", "tileOverlap"],
  ...["clipSkip", "promptSyntax", "vaeTiling", "watermark", "guidanceStart", "guidanceStop"],
  ...["guidanceSchedule", "guidanceFrom", "thresholding", "thresholdingRatio", "sampleMaxValue"],
  "mimicScale",
  ...["timesteps", "timestepSpacing", "rescaleBetasZeroSnr", "schedulerConfig", "perImageSeeds"],
] as readonly (keyof GenerateOptions & keyof GenerateRequest)[];

/** Texts that name a choice are judged by `validateRequest`. Throws IMAGE_… for a picture that cannot be read. */
async function requestOf(
  options: GenerateOptions,
  { readInput }: CliContext,
): Promise<SheetRequest> {
  const prompt =
    options.prompt === "-" ? (await readInput()).replace(/\r?\n$/, "") : options.prompt;
  const given = FIELDS.filter((name) => options[name] !== undefined);
  const { image, mask, depth } = options;
  return {
    prompt,
    ...(Object.fromEntries(given.map((name) => [name, options[name]])) as Partial<SheetRequest>),
    ...(image !== undefined && { image: await readImageFile(image) }),
    ...(mask !== undefined && { mask: await readImageFile(mask) }),
    ...(depth !== undefined && { depth: await readDepthFile(depth) }),
  };
}

async function paint(
  request: GenerateRequest,
  options: GenerateOptions,
  context: CliContext,
): Promise<GenerateResult> {
  return withPipeline(options, context, (pipeline, progress) =>
    pipeline.generate({
      ...request,
      signal: context.signal,
      onStep(event) {
        progress.step(event);
        if (options.json) writeJson(context.terminal, { ...event });
      },
    }),
  );
}

function resultKind(output: Output): "image" | "latent" {
  return output.kind === "safetensors" ? "latent" : "image";
}

function writeResult(result: GenerateResult, output: Output, options: GenerateOptions): string[] {
  if (output.kind === "safetensors") return [output.write(latentsFile(result, options), 0, 1)];
  const { images } = result;
  const files = images.map((image, i) =>
    encodePng(
      image,
      options.metadata ? pictureTexts(result, i, VERSION, givenOptions(options)) : [],
    ),
  );
  return files.map((file, i) => output.write(file, i, files.length));
}

function latentsFile(result: GenerateResult, options: GenerateOptions): Uint8Array {
  if (!result.latents)
    throw new DiffusionError("INTERNAL", "the pipeline gave pictures instead of latents");
  const { data: values, shape } = result.latents;
  const data = new Uint8Array(values.buffer, values.byteOffset, values.byteLength);
  const record: [string, string] = [
    KEYWORD,
    JSON.stringify(ownRecord(result, 0, VERSION, givenOptions(options))),
  ];
  return writeSafetensors(
    new Map([["latents", { dtype: "F32", shape, data }]]),
    new Map(options.metadata ? [record] : []),
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
