/** How fast a download is. */
import type { ProgressEvent } from "./events.ts";

/** Bytes a second over the last ten seconds or so. */
export type Speedometer = (event: ProgressEvent) => number;

/** Long enough to be calm, short enough to follow a network that changes. */
const WINDOW_MS = 10_000;

export function speedometer(now: () => number = () => performance.now()): Speedometer {
  let file: string | undefined;
  let marks: { at: number; loaded: number }[] = [];
  return (event) => {
    const at = now();
    const loaded = event.allLoaded;
    // A file begins with what was there of it, and may be dropped: neither came over the network.
    if (event.file !== file || loaded < (marks.at(-1)?.loaded ?? 0)) marks = [];
    file = event.file;
    if (marks.length === 0 || at - marks.at(-1)!.at >= 100) marks.push({ at, loaded });
    while (marks.length > 2 && at - marks[0]!.at > WINDOW_MS) marks.shift();
    const first = marks[0]!;
    return at > first.at ? (1000 * (loaded - first.loaded)) / (at - first.at) : 0;
  };
}
