/** How far loading and painting are, with the time to go. */
import type { HubEvent, LoadEvent, StepEvent } from "../../../model/index.ts";
import { box, element } from "./page.ts";

const bar = () => element("bar", HTMLProgressElement);

/** `share` 0..1; undefined where nobody knows. */
export function showProgress(text: string, share?: number): void {
  box("progress").hidden = false;
  box("doing").textContent = text;
  if (share === undefined) bar().removeAttribute("value");
  else bar().value = share;
}

export function hideProgress(): void {
  box("progress").hidden = true;
}

export function showHubEvent(event: HubEvent): void {
  if (event.status === "progress") {
    const { allLoaded, allTotal, etaMs, file } = event;
    const amounts = `${size(allLoaded)} of ${size(allTotal)}`;
    showProgress(`Fetching ${file}: ${amounts}${eta(etaMs)}`, allLoaded / Math.max(1, allTotal));
  } else if (event.status === "retry") {
    showProgress(`${event.message}; trying again in ${(event.waitMs / 1000).toFixed(1)} s`);
  } else if (event.status === "wait") {
    showProgress(`${event.owner} is fetching ${event.file}: waiting for it`);
  }
}

export function showLoadEvent({ name, loaded, total }: LoadEvent): void {
  showProgress(`Loading ${name}: ${size(loaded)} of ${size(total)}`, loaded / Math.max(1, total));
}

export function showStep({ step, steps, etaMs }: StepEvent): void {
  const text = step < steps ? `Step ${step} of ${steps}${eta(etaMs)}` : "Decoding the picture";
  showProgress(text, step / steps);
}

function eta(ms: number | undefined): string {
  return ms === undefined ? "" : `, ${clock(ms)} to go`;
}

export function clock(ms: number): string {
  const seconds = Math.ceil(ms / 1000);
  if (seconds < 60) return `${seconds} s`;
  return `${Math.floor(seconds / 60)} min ${seconds % 60} s`;
}

/** In powers of ten, as networks and disks are sold. */
export function size(bytes: number): string {
  if (bytes >= 1e9) return `${(bytes / 1e9).toFixed(2)} GB`;
  if (bytes >= 1e6) return `${(bytes / 1e6).toFixed(1)} MB`;
  return bytes >= 1e3 ? `${(bytes / 1e3).toFixed(1)} kB` : `${Math.round(bytes)} B`;
}
