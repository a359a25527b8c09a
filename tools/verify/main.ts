/** `npm run verify -- --model DIR|FILE`: a checkpoint of one's own against diffusers, stage by stage. */
import { env, exit, stderr, stdout } from "node:process";
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
  try {
    const wanted = readArguments(process.argv.slice(2), env);
    if (wanted !== "help") return (await compareWithDiffusers(wanted, terminal)) ? 0 : 1;
    terminal.out(USAGE);
    return 0;
  } catch (error) {
    return reportFault(error, { terminal, signal: new AbortController().signal }, false);
  }
}
