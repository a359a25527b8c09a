/** Results as JSON, each with what it takes to judge and to repeat it. */
import { mkdirSync, readdirSync, readFileSync, writeFileSync } from "node:fs";
import { createRequire } from "node:module";
import { availableParallelism, cpus, loadavg } from "node:os";
import type { Device } from "../engine/index.ts";
import { VERSION } from "../tools/version.node.ts";

const FOLDER = new URL("./results/", import.meta.url);

export interface Result<T = unknown> {
  readonly name: string;
  readonly command: string;
  readonly adapter: string;
  readonly versions: Readonly<Record<string, string>>;
  readonly cpu: string;
  /** Runnable processes before and during the measurement, averaged over a minute. */
  readonly load: number;
  readonly values: T;
}

/** Writes `bench/results/<name>.json` in place of an older one. */
export function saveResult(name: string, device: Device, values: unknown): void {
  const result = resultOf(name, device, values);
  mkdirSync(FOLDER, { recursive: true });
  writeFileSync(new URL(`${name}.json`, FOLDER), `${JSON.stringify(result, null, 2)}\n`);
}

/** What was measured, with where and how. */
export function resultOf<T>(name: string, device: Device, values: T): Result<T> {
  return {
    name,
    command: ["npm run bench --", ...process.argv.slice(2).map(withoutFolder)].join(" "),
    adapter: `${device.info.description || device.info.device} (${device.info.vendor})`,
    versions: { "wgsl-diffusion": VERSION, webgpu: dawnVersion(), node: process.version },
    cpu: `${availableParallelism()} x ${cpus()[0]?.model ?? "unknown"}`,
    load: Math.round(loadavg()[0]! * 10) / 10,
    values,
  };
}

/** All results whose names start with `prefix`, by name. */
export function loadResults<T>(prefix: string): Result<T>[] {
  const names = readdirSync(FOLDER).filter(
    (name) => name.startsWith(prefix) && name.endsWith(".json"),
  );
  return names.sort().map((name) => JSON.parse(readFileSync(new URL(name, FOLDER), "utf8")));
}

/** Where a checkpoint lies on this machine is nobody's business. */
function withoutFolder(argument: string): string {
  return argument.includes("/") ? "DIR" : argument;
}

function dawnVersion(): string {
  return createRequire(import.meta.url)("webgpu/package.json").version;
}
