/** From a graph to a plan: lower, place, verify; make buffers, load weights, compile pipelines. */
import type { Device } from "./device.ts";
import { DiffusionError } from "./errors.ts";
import type { Outputs } from "./graph.ts";
import { encode } from "./host.ts";
import type { Storage } from "./lower/lowering.ts";
import { borrow, type Placement, place, storageBytes } from "./memory.ts";
import { Plan } from "./plan.ts";
import { type LowerOptions, lower, type Program } from "./program.ts";
import { compilePipelines, makeSteps } from "./steps.ts";
import type { Choices } from "./tuning/choices.ts";
import { verify } from "./verify.ts";
import { WeightCache } from "./weights.ts";

export interface CompileOptions extends LowerOptions {
  readonly label?: string;
  /** Where weights are kept; give the same one to all plans of a model. */
  readonly weights?: WeightCache;
  /** Buffers of other plans to use as inputs of this one, without a copy. */
  readonly bind?: Readonly<Record<string, GPUBuffer>>;
  /**
   * Buffers of another plan to work in. The two must never run at the same time, nor may one's results be
   * wanted after the other has run; they are freed with the plan that made them.
   */
  readonly scratch?: readonly GPUBuffer[];
  /** Input -> output whose value it takes over after each run: state that goes on from run to run. */
  readonly carry?: Readonly<Record<string, string>>;
  /** Variants of kernels in place of the device's own: for measuring them. */
  readonly tuning?: Choices;
  /** Stops loading between two weights, with the signal's reason. */
  readonly signal?: AbortSignal | undefined;
  /** Told as pipelines get ready. */
  readonly onProgress?: (done: number, total: number) => void;
}

/** Lowers, places, verifies and builds the graph of `outputs`. Throws SHAPE, LIMIT, GPU_OOM, GPU_VALIDATION, WEIGHTS_…. */
export async function compile(
  device: Device,
  outputs: Outputs,
  options: CompileOptions = {},
): Promise<Plan> {
  const { tuning = device.target.tuning } = options;
  const program = lower(outputs, { ...device.target, tuning }, options);
  const placement = place(program);
  verify(program, placement);
  checkLimits(program, device);
  const ownWeights = options.weights ? undefined : new WeightCache(device);
  const owned: GPUBuffer[] = [];
  const make = (label: string, bytes: number): GPUBuffer => {
    const buffer = device.createBuffer(label, bytes);
    owned.push(buffer);
    return buffer;
  };
  try {
    const buffers = scratchBuffers(placement, options, make);
    const pipelines = compilePipelines(device, program, options.onProgress);
    // Awaited below; until then a failure must not count as unhandled.
    pipelines.catch(() => undefined);
    for (const storage of program.storages) {
      if (storage.kind === "scratch") continue;
      options.signal?.throwIfAborted();
      buffers.set(
        storage.id,
        await leafBuffer(device, storage, options, options.weights ?? ownWeights!, make),
      );
    }
    const ready = await pipelines;
    device.check();
    const steps = makeSteps(device, program, ready, buffers, (buffer) => owned.push(buffer));
    return new Plan(device, program, steps, buffers, owned, ownWeights, options.carry ?? {});
  } catch (error) {
    for (const buffer of owned) device.destroyBuffer(buffer);
    await ownWeights?.destroy();
    throw error;
  }
}

type MakeBuffer = (label: string, bytes: number) => GPUBuffer;

/** Storage id -> its buffer, for the storages that share. */
function scratchBuffers(
  { buffers, bufferOf }: Placement,
  { label = "plan", scratch = [] }: CompileOptions,
  make: MakeBuffer,
): Map<number, GPUBuffer> {
  const borrowed = borrow(
    buffers,
    scratch.map(({ size }) => size),
  );
  const found = buffers.map(
    (bytes, i) => scratch[borrowed[i] ?? -1] ?? make(`${label} ${i}`, bytes),
  );
  return new Map([...bufferOf].map(([id, index]) => [id, found[index]!]));
}

/** A weight from the cache, a buffer of another plan, or a new one (with its values, where they are known). */
async function leafBuffer(
  device: Device,
  storage: Storage,
  { bind }: CompileOptions,
  weights: WeightCache,
  make: MakeBuffer,
): Promise<GPUBuffer> {
  const { shape, dtype, attrs } = storage.tensor!;
  if (storage.kind === "weight") return weights.get(storage.tensor!);
  const bound = bind?.[attrs.name as string];
  if (bound) return bound;
  const buffer = make(storage.name, storageBytes(storage));
  if (storage.kind === "data") {
    device.gpu.queue.writeBuffer(buffer, 0, encode(attrs.data as ArrayLike<number>, shape, dtype));
  }
  return buffer;
}

function checkLimits(program: Program, device: Device): void {
  for (const storage of program.storages) {
    const bytes = storageBytes(storage);
    if (bytes <= device.target.maxBindingSize) continue;
    throw new DiffusionError(
      "LIMIT",
      `${storage.name} needs a binding of ${bytes} bytes, maxStorageBufferBindingSize is ${device.target.maxBindingSize}`,
      { hint: "Use --dtype f16 or a smaller picture." },
    );
  }
}
