/** How far the work is: a bar where the line can be redrawn, else a plain line every 10 %. */
import type { LoadEvent, StepEvent } from "../../model/request.ts";
import type { Terminal } from "./context.ts";

export interface Progress {
  load(event: LoadEvent): void;
  step(event: StepEvent): void;
  /** Clears the line, so that something else can be written. */
  end(): void;
}

/** `quiet` shows nothing. Everything goes to standard error. */
export function createProgress(terminal: Terminal, quiet: boolean): Progress {
  if (quiet) return { load() {}, step() {}, end() {} };
  return terminal.errIsTerminal ? barProgress(terminal) : lineProgress(terminal);
}

function barProgress(terminal: Terminal): Progress {
  let shown = false;
  const draw = (text: string) => {
    // One column stays free: some terminals wrap as soon as the last one is written.
    terminal.err(`\r\x1b[2K${text}`);
    shown = true;
  };
  return {
    load: (event) => draw(cut(loadText(event), terminal)),
    step: (event) => draw(barLine(event, terminal)),
    end() {
      if (shown) terminal.err("\r\x1b[2K");
      shown = false;
    },
  };
}

/** `step 12/25 ██████░░░░ 1.84 it/s  ETA 00:07`; on a narrow terminal the bar goes first, then the rest. */
export function barLine(event: StepEvent, terminal: Pick<Terminal, "columns" | "color">): string {
  const head = `step ${event.step}/${event.steps} ${tileOf(event)}`;
  const tail = ` ${rate(event)}  ETA ${clock(event.etaMs)}`;
  const width = Math.min(30, terminal.columns() - 1 - head.length - tail.length);
  if (width < 4) return cut(head + tail.trimStart(), terminal);
  const filled = Math.round((stepsDone(event) / event.steps) * width);
  const bar = "█".repeat(filled) + "░".repeat(width - filled);
  return head + (terminal.color ? `\x1b[32m${bar}\x1b[39m` : bar) + tail;
}

function cut(text: string, terminal: Pick<Terminal, "columns">): string {
  return text.slice(0, Math.max(1, terminal.columns() - 1));
}

function lineProgress(terminal: Terminal): Progress {
  let loading = "";
  let tenth = 0;
  return {
    load(event) {
      if (event.name === loading) return;
      loading = event.name;
      terminal.err(`${event.stage === "read" ? "reading" : "compiling"} ${event.name}\n`);
    },
    step(event) {
      const now = Math.floor((10 * stepsDone(event)) / event.steps);
      if (event.step === 1 && (event.tile ?? 1) === 1) tenth = 0;
      else if (now === tenth) return;
      tenth = now;
      terminal.err(
        `step ${event.step}/${event.steps} ${tileOf(event)} ${rate(event)}  ETA ${clock(event.etaMs)}\n`,
      );
    },
    end() {},
  };
}

function loadText({ stage, name, loaded, total }: LoadEvent): string {
  if (stage === "compile") return `compiling ${name} ${loaded}/${total}`;
  return `reading ${name} ${(loaded / 1e6).toFixed(1)}/${(total / 1e6).toFixed(1)} MB`;
}

/** In tiles, the last step counts as far as they are done. */
function stepsDone({ step, tile = 1, tiles = 1 }: StepEvent): number {
  return step - 1 + tile / tiles;
}

function tileOf({ tile, tiles }: StepEvent): string {
  return tile === undefined ? "" : `tile ${tile}/${tiles} `;
}

function rate(event: StepEvent): string {
  const perSecond = event.elapsedMs > 0 ? (1000 * stepsDone(event)) / event.elapsedMs : 0;
  if (perSecond === 0) return "-- it/s";
  return perSecond >= 1 ? `${perSecond.toFixed(2)} it/s` : `${(1 / perSecond).toFixed(2)} s/it`;
}

/** `mm:ss`, or `h:mm:ss` from an hour on. */
export function clock(ms: number): string {
  if (!Number.isFinite(ms) || ms < 0) return "--:--";
  const seconds = Math.round(ms / 1000);
  const two = (n: number) => String(n).padStart(2, "0");
  const hours = Math.floor(seconds / 3600);
  const rest = `${two(Math.floor(seconds / 60) % 60)}:${two(seconds % 60)}`;
  return hours > 0 ? `${hours}:${rest}` : rest;
}
