/** `npm run verify -- --model DIR|FILE`: a checkpoint of one's own against diffusers, stage by stage. */
import { chdir, env, exit, stderr, stdout } from "node:process";
import { DiffusionError } from "../../engine/errors.ts";
import { reportFault } from "../cli/faults.ts";
import { readArguments, USAGE } from "./arguments.ts";
import { compareWithDiffusers } from "./command.ts";

const terminal = {
  out: (text: string | Uint8Array) => void stdout.write(text),
  err: (text: string) => void stderr.write(text),
};

// Not by itself: Dawn keeps the process alive.
exit(await main());

/** 0: all within its bounds; 1: not; else as the command line's. */
async function main(): Promise<number> {
  // `npm run` changes to the package's folder; file names count from where the user is.
  if (env.npm_lifecycle_event === "verify" && env.INIT_CWD) chdir(env.INIT_CWD);
  try {
    const wanted = readArguments(process.argv.slice(2), env);
    if (wanted !== "help") return (await compareWithDiffusers(wanted, terminal)) ? 0 : 1;
    terminal.out(USAGE);
    return 0;
  } catch (error) {
    const status = reportFault(error, { terminal, signal: new AbortController().signal }, false);
    if (env.WGSL_DIFFUSION_DEBUG && isPython(error)) terminal.err(`${error.cause.message}\n`);
    return status;
  }
}

/** A fault of diffusers, whose cause holds all that it said. */
function isPython(error: unknown): error is { readonly cause: Error } {
  return error instanceof DiffusionError && error.code === "PYTHON_FAILED";
}
