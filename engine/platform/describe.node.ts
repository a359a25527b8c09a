/**
 * What each kind of adapter on this machine can do, or why Dawn refuses it. Dawn gives its reasons
 * on the process's standard error only, and a driver may crash: each kind is tried in a process of
 * its own.
 */
import { spawn } from "node:child_process";
import { dirname } from "node:path";
import { DiffusionError } from "../errors.ts";
import { configurations, matrixUnitOf } from "../matrix.ts";
import { isSoftware } from "../software.ts";
import {
  ADAPTER_KINDS,
  type AdapterKind,
  lavapipeDriver,
  loadWebGPU,
  SWITCHES,
} from "./dawn.node.ts";
import { swiftShaderArchive } from "./swiftshader.node.ts";

export interface AdapterReport {
  readonly kind: AdapterKind;
  /** Absent where the adapter cannot be used; then `reason` says why. */
  readonly adapter?: AdapterDetails;
  readonly reason?: string;
  /** The error's code: NO_WEBGPU, NATIVE_LOAD, NO_ADAPTER, or GPU_VALIDATION where it gives no device. */
  readonly code?: string;
}

export interface AdapterDetails {
  readonly description: string;
  readonly vendor: string;
  readonly architecture: string;
  /** It computes on the CPU. */
  readonly software: boolean;
  /** Smallest and largest subgroup, lanes. */
  readonly subgroupSize: readonly [min: number, max: number];
  readonly features: readonly string[];
  /** In bytes or counts, by WebGPU's names. */
  readonly limits: Readonly<Record<string, number>>;
  /** Such as `f16 8x8x8 -> f32`; empty where there are no subgroup matrices. */
  readonly matrices: readonly string[];
  /** Dawn's switches that the engine knows, what each gives, and whether it is requested for this adapter. */
  readonly switches: readonly AdapterSwitch[];
}

export interface AdapterSwitch {
  readonly name: string;
  readonly value: "enable" | "disable";
  readonly gives: string;
  readonly requested: boolean;
}

/** One report a kind, in order of preference. Never throws. */
export function describeAdapters(): Promise<AdapterReport[]> {
  return Promise.all(ADAPTER_KINDS.map(probeInProcess));
}

async function probeInProcess(kind: AdapterKind): Promise<AdapterReport> {
  const here = JSON.stringify(import.meta.url);
  const program = `const { probe } = await import(${here}); process.stdout.write(JSON.stringify(await probe("${kind}")));`;
  const { stdout, stderr } = await runNode(program);
  const report = parseReport(stdout) ?? { kind, reason: "the driver crashed" };
  if (report.adapter) return report;
  return { ...report, reason: [report.reason, ...dawnReasons(stderr)].filter(Boolean).join("; ") };
}

function parseReport(text: string): AdapterReport | undefined {
  try {
    return JSON.parse(text) as AdapterReport;
  } catch {
    return undefined;
  }
}

function runNode(program: string): Promise<{ stdout: string; stderr: string }> {
  const output = { stdout: "", stderr: "" };
  const child = spawn(
    process.execPath,
    [...process.execArgv, "--input-type=module", "--eval", program],
    // `--import tsx` is looked up from the working folder.
    { cwd: dirname(import.meta.dirname), stdio: ["ignore", "pipe", "pipe"], timeout: 60_000 },
  );
  child.stdout.on("data", (data) => {
    output.stdout += data;
  });
  child.stderr.on("data", (data) => {
    output.stderr += data;
  });
  return new Promise((resolve) => {
    child.on("error", () => resolve(output));
    child.on("close", () => resolve(output));
  });
}

/** The messages in Dawn's log, without stack frames and remarks that refuse nothing. */
export function dawnReasons(log: string): string[] {
  const lines = log.split("\n").map((line) => line.trim());
  const messages = lines
    .filter((line) => /^(Warning|Error): /.test(line) && !line.includes("artificially reduced"))
    .map((line) => line.replace(/^(Warning|Error): (Loader Message: )?/, ""));
  return [...new Set(messages)];
}

/** Describes one kind in this process. */
export async function probe(kind: AdapterKind): Promise<AdapterReport> {
  try {
    const gpu = await loadWebGPU({ adapter: kind });
    const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
    if (!adapter) return { kind, code: "NO_ADAPTER", reason: "no adapter" };
    const details = describe(adapter);
    (await adapter.requestDevice()).destroy();
    return { kind, adapter: details };
  } catch (error) {
    const code = error instanceof DiffusionError ? error.code : "GPU_VALIDATION";
    const reason = (error as Error).message.split("\n")[0] ?? "";
    return { kind, code, reason: code === "NO_ADAPTER" ? absence(kind) : reason };
  }
}

function absence(kind: AdapterKind): string {
  if (kind === "hardware") return "no GPU with a driver that Dawn accepts";
  if (kind === "lavapipe")
    return lavapipeDriver() ? "Dawn refuses it" : "Mesa's software driver is not installed";
  return swiftShaderArchive()
    ? "Dawn refuses it"
    : "npm's @sparticuz/chromium is not here (x64 Linux)";
}

function describe(adapter: GPUAdapter): AdapterDetails {
  const { info, limits } = adapter;
  return {
    description: info.description || info.device,
    vendor: info.vendor,
    architecture: info.architecture,
    software: isSoftware(info),
    subgroupSize: [info.subgroupMinSize, info.subgroupMaxSize],
    features: [...adapter.features].sort(),
    limits: Object.fromEntries(LIMITS.map((name) => [name, limits[name]])),
    matrices: matrixConfigurations(info),
    switches: SWITCHES.map(({ name, value, gives, forMatrices }) => ({
      ...{ name, value, gives },
      requested: !forMatrices || matrixUnitOf(adapter) !== undefined,
    })),
  };
}

/** The limits that decide which kernels run. */
const LIMITS = [
  "maxBufferSize",
  "maxStorageBufferBindingSize",
  "maxStorageBuffersPerShaderStage",
  "maxComputeWorkgroupStorageSize",
  "maxComputeInvocationsPerWorkgroup",
  "maxComputeWorkgroupSizeX",
  "maxComputeWorkgroupsPerDimension",
] as const;

function matrixConfigurations(info: GPUAdapterInfo): string[] {
  return [...configurations(info)].map(
    ({ componentType, resultComponentType, M, N, K }) =>
      `${componentType} ${M}x${N}x${K} -> ${resultComponentType}`,
  );
}
