/** What a fault looks like to a user, and the exit status that it ends in. */
import { DiffusionError, EXIT_STATUS } from "../../engine/errors.ts";
import type { CliContext } from "./context.ts";

export const INTERRUPTED = 130;

/** What it takes to tell a fault. */
export interface FaultContext {
  readonly terminal: Pick<CliContext["terminal"], "out" | "err">;
  readonly signal: AbortSignal;
}

/**
 * Says what went wrong on standard error, and as a JSON line too where that was asked for. Returns
 * the exit status: that of the error's code, 130 after Ctrl-C, 1 for what nobody foresaw.
 */
export function reportFault(error: unknown, context: FaultContext, json: boolean): number {
  const { terminal, signal } = context;
  if (signal.aborted && !(error instanceof DiffusionError)) {
    terminal.err("interrupted\n");
    return INTERRUPTED;
  }
  const { code, message, hint } = asTyped(error);
  terminal.err(`error ${code}: ${printable(message)}\n${hint ? `  ${printable(hint)}\n` : ""}`);
  if (json) terminal.out(`${JSON.stringify({ error: { code, message, hint } })}\n`);
  if (code === "INTERNAL" && process.env.WGSL_DIFFUSION_DEBUG)
    terminal.err(`${(error as Error).stack ?? ""}\n`);
  return EXIT_STATUS[code];
}

function asTyped(error: unknown): DiffusionError {
  if (error instanceof DiffusionError) return error;
  const message = error instanceof Error ? error.message : String(error);
  return new DiffusionError("INTERNAL", message, {
    hint: "This should not happen. WGSL_DIFFUSION_DEBUG=1 shows where it did.",
    cause: error,
  });
}

/** Foreign text with its control characters spelled out: a file must not steer the terminal. */
export function printable(text: string): string {
  return text.replace(
    // biome-ignore lint/suspicious/noControlCharactersInRegex: they are what is looked for
    /[\x00-\x08\x0b-\x1f\x7f-\x9f\u2028\u2029\u202a-\u202e\u2066-\u2069]/g,
    (c) => `\\u${c.charCodeAt(0).toString(16).padStart(4, "0")}`,
  );
}
