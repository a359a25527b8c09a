/** A GPU device with what the engine keeps for it: its abilities, its pipelines, its faults. */
import { loadGPU, matrixWanted, noAdapterHint, readShader, tuningStore } from "#platform";
import { assemble, type OperandTypes } from "../shaders/assemble.ts";
import { shapeOf } from "../shaders/gpus.ts";
import type { AnyKernel } from "../shaders/kernel.ts";
import type { MatrixUnit } from "../shaders/matrix.ts";
import { DiffusionError } from "./errors.ts";
import type { Target } from "./lower/lowering.ts";
import { MATRIX_FEATURE, matrixUnitOf, withDialect } from "./matrix.ts";
import { adapterName, isSoftware } from "./software.ts";
import { Tuning } from "./tuning/choices.ts";
import { useRecord } from "./tuning/open.ts";
import { deviceIdentity, type TuningStore } from "./tuning/record.ts";

export interface DeviceOptions {
  /** This kind of adapter or nothing (Node only). */
  readonly adapter?: "hardware" | "lavapipe" | "swiftshader";
  /** A software adapter even where there is a GPU (Node only). */
  readonly preferSoftware?: boolean;
  /** Dawn's null backend compiles everything and runs nothing (Node only). */
  readonly backend?: "null";
  /** More switches for Dawn (Node only). */
  readonly switches?: readonly string[];
  /** Ask for WebGPU's default limits and no optional feature, as the weakest browser gives them. */
  readonly minimal?: boolean;
  /** Sizes are constants in the shaders. Default: on a GPU, where it makes faster code; not on a CPU. */
  readonly bake?: boolean;
  /** Kernels as a CPU that plays a GPU likes them, or as a GPU does. Default: by what the adapter is. */
  readonly software?: boolean;
  /** Multiply halves on matrix units where there are any. Default: on a GPU; `true` for software adapters too. */
  readonly matrix?: boolean | undefined;
  /** Most bytes of GPU memory to allocate; beyond it GPU_OOM. Default: no bound. */
  readonly memoryBudget?: number;
  /**
   * Where the variants of kernels that were measured on this device are recorded; `false`: nowhere, estimates decide.
   * Default: the user's cache (`WGSL_DIFFUSION_TUNING=off`: nowhere); a software adapter has no variants, and no record.
   */
  readonly tuning?: TuningStore | false;
}

/** Optional features that kernels or the profiler use where they are there. */
const FEATURES = ["shader-f16", "subgroups", "subgroup-size-control", "timestamp-query"] as const;

/**
 * Opens the best adapter. Throws NO_WEBGPU, NATIVE_LOAD, NO_ADAPTER, or LIMIT if it refuses the device.
 */
export async function openDevice(options: DeviceOptions = {}): Promise<Device> {
  const gpu = await loadGPU(options);
  const adapter = await gpu.requestAdapter({ powerPreference: "high-performance" });
  if (!adapter) {
    throw new DiffusionError("NO_ADAPTER", "No GPU adapter.", {
      hint: noAdapterHint,
    });
  }
  const unit = usesMatrices(adapter, options) ? matrixUnitOf(adapter) : undefined;
  const descriptor = options.minimal ? {} : everything(adapter, unit ? [MATRIX_FEATURE] : []);
  try {
    const gpuDevice = await adapter.requestDevice(descriptor);
    const matrix = unit && (await withDialect(gpuDevice, unit, readShader));
    const device = new Device(adapter.info, gpuDevice, options, matrix);
    await device.readTuning();
    return device;
  } catch (cause) {
    throw new DiffusionError(
      "LIMIT",
      `The adapter ${adapterName(adapter.info)} gives no device: ${cause}`,
      { cause },
    );
  }
}

function usesMatrices({ info }: GPUAdapter, options: DeviceOptions): boolean {
  return !options.minimal && matrixWanted(options, isSoftware(info));
}

function everything(adapter: GPUAdapter, more: readonly string[]): GPUDeviceDescriptor {
  const limits = [
    "maxBufferSize",
    "maxStorageBufferBindingSize",
    "maxComputeWorkgroupStorageSize",
  ] as const;
  return {
    requiredFeatures: [
      ...FEATURES.filter((name) => adapter.features.has(name)),
      ...more,
    ] as GPUFeatureName[],
    requiredLimits: Object.fromEntries(limits.map((name) => [name, adapter.limits[name]])),
  };
}

export class Device {
  readonly gpu: GPUDevice;
  readonly info: GPUAdapterInfo;
  readonly target: Target;
  /** Whom a record of tuning is for. */
  readonly identity: string;
  readonly tuning = new Tuning();
  readonly tuningStore: TuningStore | undefined;
  /** What the user might want to know: a record that was left aside. */
  readonly warnings: string[] = [];
  #fault: DiffusionError | undefined;
  #lost: DiffusionError | undefined;
  #allocated = 0;
  readonly #budget: number;
  readonly #pipelines = new Map<string, Promise<GPUComputePipeline>>();
  readonly #sources = new Map<string, Promise<string>>();

  constructor(info: GPUAdapterInfo, gpu: GPUDevice, options: DeviceOptions, matrix?: MatrixUnit) {
    this.gpu = gpu;
    this.info = info;
    this.#budget = options.memoryBudget ?? Number.POSITIVE_INFINITY;
    this.target = {
      maxBufferSize: gpu.limits.maxBufferSize,
      maxBindingSize: gpu.limits.maxStorageBufferBindingSize,
      maxWorkgroupStorage: gpu.limits.maxComputeWorkgroupStorageSize,
      features: new Set(gpu.features),
      software: options.software ?? isSoftware(info),
      bake: options.bake ?? !isSoftware(info),
      matrix,
      gpu: shapeOf(info.vendor),
      tuning: this.tuning,
    };
    const asGpu = isSoftware(info) && !this.target.software;
    this.identity = deviceIdentity(info, asGpu ? "as a GPU" : "");
    const { tuning = isSoftware(info) ? false : tuningStore() } = options;
    this.tuningStore = tuning || undefined;
    gpu.addEventListener("uncapturederror", ({ error }) => {
      const code = error instanceof GPUOutOfMemoryError ? "GPU_OOM" : "GPU_VALIDATION";
      this.#fault ??= new DiffusionError(code, error.message);
    });
    gpu.lost.then(({ reason, message }) => {
      const code = reason === "destroyed" ? "DISPOSED" : "DEVICE_LOST";
      this.#lost = new DiffusionError(code, `The GPU device is gone (${reason}): ${message}`);
    });
  }

  /** Takes over the record of this device, if there is one; before anything is compiled. */
  async readTuning(): Promise<void> {
    if (!this.tuningStore) return;
    const wrong = await useRecord(this.tuning, this.identity, this.tuningStore);
    if (wrong !== undefined) this.warnings.push(wrong);
  }

  /** Bytes in buffers that are alive. */
  get allocatedBytes(): number {
    return this.#allocated;
  }

  /**
   * Throws what went wrong since the last call; a device that is gone stays so. After `destroy()` Dawn still resolves promises and
   * hands out buffers, so this must follow every await.
   */
  check(): void {
    const fault = this.#lost ?? this.#fault;
    this.#fault = undefined;
    if (fault) throw fault;
  }

  /** A buffer for storage and copies. Throws GPU_OOM beyond the budget, LIMIT beyond the device's size. */
  createBuffer(label: string, bytes: number, usage?: GPUBufferUsageFlags): GPUBuffer {
    if (bytes > this.target.maxBufferSize) {
      throw new DiffusionError(
        "LIMIT",
        `${label} needs a buffer of ${bytes} bytes, maxBufferSize is ${this.target.maxBufferSize}`,
        {
          hint: "Use --dtype f16 or a smaller picture.",
        },
      );
    }
    if (this.#allocated + bytes > this.#budget) throw this.#overBudget(label, bytes);
    const { STORAGE, COPY_SRC, COPY_DST } = GPUBufferUsage;
    const size = Math.max(16, Math.ceil(bytes / 4) * 4);
    const buffer = this.gpu.createBuffer({
      label,
      size,
      usage: usage ?? STORAGE | COPY_SRC | COPY_DST,
    });
    this.#allocated += size;
    return buffer;
  }

  /** Frees a buffer of this device. */
  destroyBuffer(buffer: GPUBuffer): void {
    this.#allocated -= buffer.size;
    buffer.destroy();
  }

  /** The pipeline of a kernel at given parameters; the same text is compiled once. Throws GPU_VALIDATION. */
  async pipeline(
    kernel: AnyKernel,
    params: unknown,
    types: OperandTypes,
  ): Promise<GPUComputePipeline> {
    const code = await this.source(kernel, params, types);
    let pipeline = this.#pipelines.get(code);
    if (!pipeline) {
      pipeline = this.#compile(kernel.name, code);
      this.#pipelines.set(code, pipeline);
    }
    return pipeline;
  }

  /** The WGSL of a kernel at given parameters. */
  async source(kernel: AnyKernel, params: unknown, types: OperandTypes): Promise<string> {
    const stems = [kernel.name, ...(kernel.lib ?? []).map((name) => `lib/${name}`)];
    const texts = new Map(
      await Promise.all(stems.map(async (stem) => [stem, await this.#text(stem)] as const)),
    );
    return assemble(kernel, params, types, this.target.bake, (stem) => texts.get(stem)!);
  }

  async #text(stem: string): Promise<string> {
    const text = this.#sources.get(stem) ?? readShader(stem);
    this.#sources.set(stem, text);
    return text;
  }

  async #compile(name: string, code: string): Promise<GPUComputePipeline> {
    const module = this.gpu.createShaderModule({ label: name, code });
    const info = await module.getCompilationInfo();
    const error = info.messages.find(({ type }) => type === "error");
    if (error) {
      const line = code.split("\n")[error.lineNum - 1] ?? "";
      throw new DiffusionError(
        "GPU_VALIDATION",
        `${name}.wgsl (with its prelude) ${error.lineNum}:${error.linePos}: ${error.message}\n${line}`,
      );
    }
    try {
      return await this.gpu.createComputePipelineAsync({
        label: name,
        layout: "auto",
        compute: { module, entryPoint: "main" },
      });
    } catch (cause) {
      throw new DiffusionError("GPU_VALIDATION", `${name}: ${(cause as Error).message}`, { cause });
    }
  }

  #overBudget(label: string, bytes: number): DiffusionError {
    const gib = (n: number) => `${(n / 2 ** 30).toFixed(2)} GiB`;
    return new DiffusionError(
      "GPU_OOM",
      `${label} needs ${gib(bytes)} beside the ${gib(this.#allocated)} in use; the budget is ${gib(this.#budget)}`,
      { hint: "Try --dtype f16, or a smaller --width and --height." },
    );
  }

  /** Ends the device; what is still pending is rejected. */
  destroy(): void {
    this.gpu.destroy();
  }

  [Symbol.dispose](): void {
    this.destroy();
  }
}
