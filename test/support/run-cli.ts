/** The command line within this process, on the fake pipeline. */
import type { CliContext } from "../../tools/cli/context.ts";
import type { DescribeAdapters } from "../../tools/cli/devices.ts";
import { run } from "../../tools/cli/program.ts";
import { type FakeOptions, fakePipeline } from "./fake-pipeline.ts";

export interface Setting extends FakeOptions {
  readonly signal?: AbortSignal;
  readonly input?: string;
  readonly tty?: boolean;
  readonly columns?: number;
  readonly describe?: DescribeAdapters;
}

/** Runs the command line in this process; `out` and `err` are what it wrote. */
export async function cli(args: readonly string[], setting: Setting = {}) {
  const { load, calls } = fakePipeline(setting);
  const out: (string | Uint8Array)[] = [];
  const err: string[] = [];
  const context: CliContext = {
    load,
    terminal: {
      out: (data) => void out.push(data),
      err: (text) => void err.push(text),
      outIsTerminal: false,
      errIsTerminal: setting.tty ?? false,
      color: false,
      columns: () => setting.columns ?? 80,
    },
    signal: setting.signal ?? new AbortController().signal,
    readInput: async () => setting.input ?? "",
  };
  const status = await run(args, context, setting.describe);
  return {
    status,
    out: out.filter((x) => typeof x === "string").join(""),
    bytes: out,
    err: err.join(""),
    calls,
  };
}
