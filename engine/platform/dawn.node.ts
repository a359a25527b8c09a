/**
 * WebGPU in Node: Dawn from the optional package `webgpu`, and the choice of a Vulkan driver on a
 * machine that has no GPU. Dawn reads the driver list when an instance is created, so a second
 * instance made under another `VK_DRIVER_FILES` sees other drivers: no restart is needed.
 */
import { existsSync, readdirSync } from "node:fs";
import { join } from "node:path";
import { DiffusionError } from "../errors.ts";
import { matrixUnitOf } from "../matrix.ts";
import { isSoftware } from "../software.ts";
import { swiftShaderDriver } from "./swiftshader.node.ts";

/** Where kernels run: a GPU, Mesa's software driver, or Google's (npm, always there in a checkout). */
export type AdapterKind = "hardware" | "lavapipe" | "swiftshader";

export const ADAPTER_KINDS: readonly AdapterKind[] = ["hardware", "lavapipe", "swiftshader"];

export interface LoadWebGPUOptions {
  /** This kind or nothing (default: `WGSL_DIFFUSION_ADAPTER`, else the first that works). */
  readonly adapter?: AdapterKind | undefined;
  /** Software even where there is a GPU: lavapipe, else SwiftShader. */
  readonly preferSoftware?: boolean | undefined;
  /** `null` compiles everything and runs nothing: for checks of shaders and layouts only. */
  readonly backend?: "null" | undefined;
  /** Switch on what shows matrix units (default: `WGSL_DIFFUSION_MATRIX`, else on a GPU only). */
  readonly matrix?: boolean | undefined;
  /** More Dawn switches, such as `enable-dawn-features=skip_validation`. */
  readonly switches?: readonly string[] | undefined;
}

type Dawn = typeof import("webgpu");

/**
 * A `GPU` that offers at least one adapter, and WebGPU's constants (`GPUBufferUsage`, ...) as globals.
 * The same options give the same object. Throws `NO_WEBGPU` (package missing), `NATIVE_LOAD` (its
 * binary does not load), `NO_ADAPTER` (nothing that Dawn accepts), `BAD_REQUEST` (unknown kind).
 */
export async function loadWebGPU(options: LoadWebGPUOptions = {}): Promise<GPU> {
  const wanted =
    options.backend === "null" ? undefined : (options.adapter ?? kindFromEnvironment());
  const key = JSON.stringify({ ...options, adapter: wanted });
  const known = loaded.get(key);
  if (known) return known;
  const loading = findGPU({ ...options, adapter: wanted });
  loaded.set(key, loading);
  loading.catch(() => loaded.delete(key));
  return loading;
}

const loaded = new Map<string, Promise<GPU>>();

async function findGPU(options: LoadWebGPUOptions): Promise<GPU> {
  const dawn = await importDawn();
  Object.assign(globalThis, dawn.globals);
  if (options.backend)
    return dawn.create(["backend=null", ...switchList(SWITCHES), ...(options.switches ?? [])]);
  for (const kind of order(options)) {
    const gpu = await tryKind(dawn, kind, options);
    if (gpu) return gpu;
  }
  throw noAdapter(options.adapter);
}

export interface Switch {
  readonly name: string;
  readonly value: "enable" | "disable";
  readonly gives: string;
  /** Requested only where the adapter then shows matrix units that the kernels can use. */
  readonly forMatrices: boolean;
}

/** Dawn's switches that the engine may request, and what for. */
export const SWITCHES: readonly Switch[] = [
  {
    name: "timestamp_quantization",
    value: "disable",
    gives: "timestamps finer than 65 us",
    forMatrices: false,
  },
  {
    name: "allow_unsafe_apis",
    value: "enable",
    gives: "matrix units (chromium-experimental-subgroup-matrix)",
    forMatrices: true,
  },
  {
    name: "vulkan_enable_f16_on_nvidia",
    value: "enable",
    gives: "shader-f16 on NVIDIA, which matrix units need",
    forMatrices: true,
  },
  {
    name: "vulkan_use_cooperative_matrix_robust_access",
    value: "enable",
    gives: "matrix loads that the hardware keeps within bounds, not the shader",
    forMatrices: true,
  },
];

const PLAIN = SWITCHES.filter(({ forMatrices }) => !forMatrices);

/** As dawn.node takes them. */
function switchList(switches: readonly Switch[]): string[] {
  return (["enable", "disable"] as const).flatMap((value) => {
    const names = switches.filter((each) => each.value === value).map(({ name }) => name);
    return names.length > 0 ? [`${value}-dawn-features=${names.join(",")}`] : [];
  });
}

/** Whether matrix units are to be used on such an adapter. */
export function matrixWanted(
  options: { matrix?: boolean | undefined },
  software: boolean,
): boolean {
  return options.matrix ?? matrixFromEnvironment() ?? !software;
}

/** `WGSL_DIFFUSION_MATRIX=on` takes them on a software adapter too, `off` nowhere. */
function matrixFromEnvironment(): boolean | undefined {
  const value = process.env.WGSL_DIFFUSION_MATRIX;
  if (!value) return undefined;
  if (value === "on" || value === "off") return value === "on";
  throw new DiffusionError(
    "BAD_REQUEST",
    `WGSL_DIFFUSION_MATRIX must be on or off (got "${value}")`,
  );
}

/** `system` is whatever the machine's own drivers offer: a GPU where there is one, else lavapipe. */
function order(options: LoadWebGPUOptions): readonly (AdapterKind | "system")[] {
  if (options.adapter) return [options.adapter];
  return options.preferSoftware ? ["lavapipe", "swiftshader"] : ["system", "swiftshader"];
}

async function tryKind(
  dawn: Dawn,
  kind: AdapterKind | "system",
  options: LoadWebGPUOptions,
): Promise<GPU | undefined> {
  if (kind === "system") return findAdapter(dawn, options, () => true);
  if (kind === "hardware") return findAdapter(dawn, options, (info) => !isSoftware(info));
  const driver = kind === "lavapipe" ? lavapipeDriver() : swiftShaderDriver();
  return driver === undefined
    ? undefined
    : withVulkanDriver(driver, () => findAdapter(dawn, options, () => true));
}

/** A GPU whose best adapter is admitted; with the switches for matrices where they give any. */
async function findAdapter(
  dawn: Dawn,
  options: LoadWebGPUOptions,
  admits: (info: GPUAdapterInfo) => boolean,
): Promise<GPU | undefined> {
  const create = async (switches: readonly Switch[]) => {
    const gpu = dawn.create([...switchList(switches), ...(options.switches ?? [])]);
    return { gpu, adapter: await gpu.requestAdapter({ powerPreference: "high-performance" }) };
  };
  const plain = await create(PLAIN);
  if (!plain.adapter || !admits(plain.adapter.info)) return undefined;
  if (!matrixWanted(options, isSoftware(plain.adapter.info))) return plain.gpu;
  const { gpu, adapter } = await create(SWITCHES);
  return adapter && matrixUnitOf(adapter) ? gpu : plain.gpu;
}

/** Runs `work` while the Vulkan loader knows one driver only; Dawn looks once, at the first adapter. */
async function withVulkanDriver<T>(manifest: string, work: () => Promise<T>): Promise<T> {
  const before = DRIVER_VARIABLES.map((name) => [name, process.env[name]] as const);
  for (const name of DRIVER_VARIABLES) process.env[name] = manifest;
  try {
    return await work();
  } finally {
    for (const [name, value] of before) {
      if (value === undefined) delete process.env[name];
      else process.env[name] = value;
    }
  }
}

/** The second is the name that loaders before 1.3.207 read. */
const DRIVER_VARIABLES = ["VK_DRIVER_FILES", "VK_ICD_FILENAMES"];

/** The manifest of the system's lavapipe, or undefined. */
export function lavapipeDriver(): string | undefined {
  for (const directory of MANIFEST_DIRECTORIES) {
    const names = existsSync(directory) ? readdirSync(directory) : [];
    const name = names.find((name) => /^lvp_icd.*\.json$/.test(name));
    if (name) return join(directory, name);
  }
  return undefined;
}

const MANIFEST_DIRECTORIES = [
  "/usr/share/vulkan/icd.d",
  "/usr/local/share/vulkan/icd.d",
  "/etc/vulkan/icd.d",
];

function kindFromEnvironment(): AdapterKind | undefined {
  const value = process.env.WGSL_DIFFUSION_ADAPTER;
  if (!value) return undefined;
  const kind = ADAPTER_KINDS.find((kind) => kind === value);
  if (kind) return kind;
  throw new DiffusionError(
    "BAD_REQUEST",
    `WGSL_DIFFUSION_ADAPTER must be one of ${ADAPTER_KINDS.join(", ")} (got "${value}")`,
  );
}

async function importDawn(): Promise<Dawn> {
  try {
    return await import("webgpu");
  } catch (error) {
    throw dawnLoadError(error);
  }
}

/** What a failed `import("webgpu")` means: the package is missing, or its binary does not load. */
export function dawnLoadError(cause: unknown): DiffusionError {
  const text = cause instanceof Error ? (cause.message.split("\n")[0] ?? "") : String(cause);
  if (/Cannot find package/.test(text))
    return new DiffusionError("NO_WEBGPU", "WebGPU is not available: `webgpu` is not installed", {
      hint: "Node: npm i webgpu. Browser: Chrome or Edge 113+, Safari 26+, Firefox 141+.",
      cause,
    });
  return new DiffusionError("NATIVE_LOAD", `Dawn's native module does not load: ${text}`, {
    hint: "Dawn needs glibc >= 2.34 (Debian 12, Ubuntu 22.04; not musl) on x64 or arm64, or macOS, or Windows.",
    cause,
  });
}

function noAdapter(kind: AdapterKind | undefined): DiffusionError {
  return new DiffusionError("NO_ADAPTER", `No ${kind ?? "GPU"} adapter that Dawn accepts.`, {
    hint:
      "Run `wgsl-diffusion devices` to see why. Linux without a GPU: apt install mesa-vulkan-drivers " +
      "(Debian 12: from bookworm-backports, 22.3 is too old).",
  });
}
