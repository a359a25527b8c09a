/** What every way of painting does: open the checkpoint, show progress, find the output, print results. */
import { DiffusionError } from "../../engine/errors.ts";
import type { OpenOptions } from "../../model/open-options.ts";
import type { CheckingPipeline } from "../../model/request.ts";
import type { CliContext } from "./context.ts";
import { defaultModel } from "./default-model.node.ts";
import { localModel } from "./download.ts";
import type { GenerateOptions } from "./options.ts";
import { type Output, openOutput } from "./output.node.ts";
import { createProgress, type Progress } from "./progress.ts";

/** Stands in for a checkpoint that is not read yet: its ranges are those of every checkpoint. */
export const ANY_CHECKPOINT = { width: 512, height: 512, scheduler: "ddim" };

/** Throws BAD_REQUEST and what `openOutput` throws. */
export function openOutputOf(options: GenerateOptions, { terminal }: CliContext): Output {
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

/** What `paint` gives, with the warnings of the checkpoint before its own. */
export async function withPipeline<T extends { readonly warnings: readonly string[] }>(
  options: GenerateOptions,
  context: CliContext,
  paint: (pipeline: CheckingPipeline, progress: Progress) => Promise<T>,
): Promise<T> {
  const { load, terminal, signal } = context;
  const { model: named, quiet } = options;
  const model = named === undefined ? defaultModel() : await localModel(named, quiet, context);
  const progress = createProgress(terminal, options.quiet);
  const { dtype, matrix, strict, config } = options;
  const prediction = options.prediction as OpenOptions["prediction"];
  try {
    const onProgress = progress.load;
    await using pipeline = await load(model, {
      ...{ dtype, matrix, strict, signal, onProgress, prediction, config },
    });
    const result = await paint(pipeline, progress);
    const warnings = [...new Set([...(pipeline.warnings ?? []), ...result.warnings])];
    return { ...result, warnings };
  } finally {
    progress.end();
  }
}

/** One line; names in snake_case, as the users of a shell and of Python expect. */
export function writeJson(terminal: CliContext["terminal"], value: Record<string, unknown>): void {
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
