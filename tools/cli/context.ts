/** What a command may touch. Tests put their own in place of the process. */
import type { LoadPipeline } from "../../model/request.ts";

export interface CliContext {
  /** `StableDiffusion.fromPretrained`. */
  readonly load: LoadPipeline;
  readonly terminal: Terminal;
  /** Aborted by Ctrl-C. */
  readonly signal: AbortSignal;
  /** All of standard input, as text. */
  readonly readInput: () => Promise<string>;
}

export interface Terminal {
  /** Standard output: results only. */
  out(data: string | Uint8Array): void;
  /** Standard error: progress, warnings, faults. */
  err(text: string): void;
  readonly outIsTerminal: boolean;
  /** Standard error can redraw a line. */
  readonly errIsTerminal: boolean;
  readonly color: boolean;
  /** Characters a line of standard error, now. */
  readonly columns: () => number;
}
