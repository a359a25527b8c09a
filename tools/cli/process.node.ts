/** The command line as a process: its streams, its signals, its end. */
import { chdir, env, exit, stderr, stdin, stdout } from "node:process";
import { text } from "node:stream/consumers";
import type { LoadPipeline } from "../../model/request.ts";
import type { Terminal } from "./context.ts";
import { INTERRUPTED, reportFault } from "./faults.ts";
import { writeError } from "./output.node.ts";
import { run } from "./program.ts";

/** Runs the command that the process was started with, and ends the process. */
export async function runProcess(args: readonly string[], load: LoadPipeline): Promise<never> {
  workWhereCalled();
  const controller = new AbortController();
  stopOnSignal(controller);
  const output = watchOutput();
  const terminal = processTerminal();
  const context = { load, terminal, signal: controller.signal, readInput: () => text(stdin) };
  let status = await run(args, context);
  await flushed(stdout);
  if (output.fault)
    status = reportFault(writeError(output.fault, "standard output"), context, false);
  await flushed(stderr);
  // Not by itself: a driver's threads may keep the process alive, and some crash when they are ended.
  exit(status);
}

/** `npm run` changes to the package's folder; file names count from where the user is. */
function workWhereCalled(): void {
  if (env.npm_lifecycle_event === "cli" && env.INIT_CWD) chdir(env.INIT_CWD);
}

/** Once: stop after the step that runs. Twice: now. */
function stopOnSignal(controller: AbortController): void {
  const stop = () => {
    if (controller.signal.aborted) exit(INTERRUPTED);
    stderr.write("\nstopping after this step; once more stops now\n");
    controller.abort(new DOMException("interrupted", "AbortError"));
  };
  process.on("SIGINT", stop).on("SIGTERM", stop);
}

/**
 * A reader that goes away (`| head`) is no fault: what is written after that is dropped, and the
 * work goes on, for its file may still be wanted. Any other fault is kept for the end.
 */
function watchOutput(): { fault: Error | undefined } {
  const watch: { fault: Error | undefined } = { fault: undefined };
  stdout.on("error", (error: NodeJS.ErrnoException) => {
    if (error.code !== "EPIPE") watch.fault ??= error;
  });
  stderr.on("error", () => {});
  return watch;
}

function processTerminal(): Terminal {
  const dumb = env.TERM === "dumb";
  const errIsTerminal = stderr.isTTY === true && !dumb;
  return {
    out: (data) => void stdout.write(data),
    err: (data) => void stderr.write(data),
    outIsTerminal: stdout.isTTY === true,
    errIsTerminal,
    // https://no-color.org: any value that is not empty.
    color: errIsTerminal && !env.NO_COLOR,
    columns: () => stderr.columns || 80,
  };
}

/** Until all is written, or a fault is known: its event comes one turn after its cause. */
async function flushed(stream: NodeJS.WriteStream): Promise<void> {
  if (!stream.destroyed) await new Promise<void>((resolve) => stream.write("", () => resolve()));
  await new Promise(setImmediate);
}
