/** `generate` with lists: one labelled sheet of all combinations. */
import { DiffusionError } from "../../engine/errors.ts";
import { encodePng } from "../../model/png.node.ts";
import { validateRequest } from "../../model/request.ts";
import { planSheet, type SheetRequest } from "../../model/sheet/axes.ts";
import { paintSheet, type SheetResult } from "../../model/sheet/paint.ts";
import { sheetTexts } from "../metadata.ts";
import { VERSION } from "../version.node.ts";
import type { CliContext } from "./context.ts";
import { printable } from "./faults.ts";
import { type GenerateOptions, givenOptions } from "./options.ts";
import { ANY_CHECKPOINT, openOutputOf, withPipeline, writeJson } from "./work.ts";

/** All that can be wrong with any of the pictures is found before anything is loaded. */
export async function generateSheet(
  request: SheetRequest,
  options: GenerateOptions,
  context: CliContext,
): Promise<void> {
  for (const cell of planSheet(request).cells) validateRequest(cell.request, ANY_CHECKPOINT);
  const output = openOutputOf(options, context);
  if (output.kind === "safetensors")
    throw new DiffusionError("BAD_REQUEST", "a sheet is a picture: -o must end in .png");
  const started = performance.now();
  const sheet = await withPipeline(options, context, (pipeline, progress) =>
    paintSheet(pipeline, {
      ...request,
      signal: context.signal,
      onStep(event) {
        progress.step(event);
        if (options.json) writeJson(context.terminal, { ...event });
      },
    }),
  );
  const texts = options.metadata ? sheetTexts(sheet, VERSION, givenOptions(options)) : [];
  const name = output.write(encodePng(sheet.image, texts), 0, 1);
  report(sheet, name, (performance.now() - started) / 1000, options, context);
}

function report(
  sheet: SheetResult,
  name: string,
  seconds: number,
  options: GenerateOptions,
  { terminal }: CliContext,
): void {
  if (options.json) writeJson(terminal, jsonSheet(sheet, name));
  if (options.json || options.quiet) return;
  for (const warning of sheet.warnings) terminal.err(`warning: ${printable(warning)}\n`);
  if (options.output === "-") return;
  const { width, height } = sheet.image;
  const count = `${sheet.cells.length} pictures, ${sheet.columns} across and ${sheet.rows} down`;
  terminal.out(`wrote ${name} (${width}x${height}: ${count}, ${seconds.toFixed(1)} s)\n`);
}

/** The last line of --json: where each picture is, and what it is. */
function jsonSheet(
  { image, rows, columns, cells, request, warnings, model }: SheetResult,
  name: string,
): Record<string, unknown> {
  return {
    images: [name],
    sheet: { width: image.width, height: image.height, rows, columns },
    cells: cells.map(({ image: _, timings, ...cell }) => ({ ...cell, timingsMs: timings })),
    ...{ warnings, request, model },
  };
}
