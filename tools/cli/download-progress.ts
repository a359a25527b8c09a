/** How far a download is: a bar where the line can be redrawn, else a plain line every 10 %. */
import type { HubEvent, ProgressEvent } from "../../model/hub/events.ts";
import { type Speedometer, speedometer } from "../../model/hub/speed.ts";
import type { Terminal } from "./context.ts";
import { printable } from "./faults.ts";
import { clock } from "./progress.ts";

export { speedometer };

export interface DownloadProgress {
  show(event: HubEvent): void;
  /** Clears the line, so that something else can be written. */
  end(): void;
}

/** `quiet` shows nothing. Everything goes to standard error. */
export function createDownloadProgress(
  terminal: Terminal,
  quiet: boolean,
  now: () => number = () => performance.now(),
): DownloadProgress {
  if (quiet) return { show() {}, end() {} };
  const speed = speedometer(now);
  return terminal.errIsTerminal ? bar(terminal, speed) : lines(terminal, speed);
}

function bar(terminal: Terminal, speed: Speedometer): DownloadProgress {
  let shown = false;
  const end = () => {
    if (shown) terminal.err("\r\x1b[2K");
    shown = false;
  };
  return {
    show(event) {
      const said = textOf(event);
      if (said !== undefined) {
        end();
        terminal.err(`${said}\n`);
      }
      if (event.status !== "progress") return;
      terminal.err(`\r\x1b[2K${downloadLine(event, speed(event), terminal)}`);
      shown = true;
    },
    end,
  };
}

function lines(terminal: Terminal, speed: Speedometer): DownloadProgress {
  let tenth = 0;
  return {
    show(event) {
      const said = textOf(event);
      if (said !== undefined) terminal.err(`${said}\n`);
      if (event.status !== "progress") return;
      const rate = speed(event);
      const now = Math.floor((10 * event.allLoaded) / event.allTotal);
      if (now <= tenth) return;
      tenth = now;
      terminal.err(`${printable(event.file)}  ${amounts(event)}  ${rateText(event, rate)}\n`);
    },
    end() {},
  };
}

/** What is worth a line of its own. */
function textOf(event: HubEvent): string | undefined {
  switch (event.status) {
    case "initiate":
      return `${printable(event.name)}: ${count(event.files)}, ${size(event.total)} to fetch`;
    case "retry":
      return `${printable(event.message)}; trying again in ${(event.waitMs / 1000).toFixed(1)} s`;
    case "wait":
      return `${printable(event.owner)} is fetching ${printable(event.file)}: waiting for it`;
    case "warning":
      return `warning: ${printable(event.message)}`;
    default:
      return undefined;
  }
}

/** `unet/model.safetensors ██████░░░░ 1.2/3.5 GB  45.1 MB/s  ETA 00:51`; the bar goes first, then the name. */
export function downloadLine(
  event: ProgressEvent,
  bytesPerSecond: number,
  { columns, color }: Pick<Terminal, "columns" | "color">,
): string {
  const tail = ` ${amounts(event)}  ${rateText(event, bytesPerSecond)}`;
  // One column stays free: some terminals wrap as soon as the last one is written.
  const room = columns() - 1 - tail.length;
  const name = printable(event.file);
  const width = Math.min(30, room - name.length - 1);
  if (width < 4)
    return `${name.slice(0, Math.max(0, room))}${tail}`.slice(0, Math.max(1, columns() - 1));
  const filled = Math.round((event.allLoaded / event.allTotal) * width);
  const cells = "█".repeat(filled) + "░".repeat(width - filled);
  return `${name} ${color ? `\x1b[32m${cells}\x1b[39m` : cells}${tail}`;
}

function amounts({ allLoaded, allTotal }: ProgressEvent): string {
  return `${size(allLoaded)} of ${size(allTotal)}`;
}

function rateText({ allLoaded, allTotal }: ProgressEvent, rate: number): string {
  if (!(rate > 0)) return "--  ETA --:--";
  return `${size(rate)}/s  ETA ${clock((1000 * (allTotal - allLoaded)) / rate)}`;
}

export function count(files: number): string {
  return files === 1 ? "1 file" : `${files} files`;
}

/** In powers of ten, as networks and disks are sold. */
export function size(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return bytes >= 1e3 ? `${(bytes / 1e3).toFixed(1)} kB` : `${Math.round(bytes)} B`;
}
