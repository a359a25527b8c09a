/**
 * A program on a device: buffers made, weights loaded, pipelines compiled, bind groups built once.
 * The same list of dispatches runs in three modes: `run` (one pass), `profile` (a timestamp round
 * each dispatch), `trace` (every result read back, named).
 */
import type { Device } from "./device.ts";
import { DiffusionError } from "./errors.ts";
import { decode, encode, type HostArray } from "./host.ts";
import type { Dispatch, Storage } from "./lower/lowering.ts";
import { storageBytes } from "./memory.ts";
import type { Place, Program } from "./program.ts";
import type { Shape } from "./shape.ts";
import { encodeStep, type Step, submit } from "./steps.ts";
import type { WeightCache } from "./weights.ts";

/** One dispatch in a profile. */
export interface Timing {
  readonly label: string;
  readonly kernel: string;
  readonly ms: number;
  readonly flops: number;
  readonly bytes: number;
}

/** One intermediate result in a trace. */
export interface Traced {
  readonly label: string;
  readonly kernel: string;
  readonly op: string;
  readonly shape: Shape;
  readonly data: HostArray;
}

/** Owns its buffers: `destroy()` frees them (weights belong to their cache). */
export class Plan {
  readonly device: Device;
  readonly program: Program;
  readonly #steps: readonly Step[];
  readonly #buffers: ReadonlyMap<number, GPUBuffer>;
  readonly #owned: readonly GPUBuffer[];
  readonly #weights: WeightCache | undefined;
  readonly #carry: Readonly<Record<string, string>>;

  constructor(
    device: Device,
    program: Program,
    steps: readonly Step[],
    buffers: ReadonlyMap<number, GPUBuffer>,
    owned: readonly GPUBuffer[],
    weights: WeightCache | undefined,
    carry: Readonly<Record<string, string>>,
  ) {
    this.device = device;
    this.program = program;
    this.#steps = steps;
    this.#buffers = buffers;
    this.#owned = owned;
    this.#weights = weights;
    this.#carry = carry;
  }

  /** The buffer of a named input or output, to bind into another plan. */
  buffer(name: string): GPUBuffer {
    return this.#buffers.get(this.#place(name).storage.id)!;
  }

  /** Writes an input; takes effect in the runs that follow. */
  write(name: string, data: ArrayLike<number>): void {
    const { shape, dtype } = this.#place(name);
    this.device.gpu.queue.writeBuffer(this.buffer(name), 0, encode(data, shape, dtype));
  }

  /** Submits one run, in one pass; does not wait. */
  run(): void {
    submit(this.device, this.#steps, (encoder) => {
      for (const [to, from] of Object.entries(this.#carry)) {
        const size = storageBytes(this.#place(to).storage);
        encoder.copyBufferToBuffer(this.buffer(from), 0, this.buffer(to), 0, size);
      }
    });
  }

  /** Resolves when all that was submitted so far is done. Throws DEVICE_LOST or GPU_VALIDATION. */
  async done(): Promise<void> {
    await this.device.gpu.queue.onSubmittedWorkDone();
    this.device.check();
  }

  /** Waits for what was submitted and reads one output, dense. Throws DEVICE_LOST or GPU_VALIDATION. */
  async read(name: string): Promise<HostArray> {
    const [values] = await this.readAll([name]);
    return values!;
  }

  /** Several outputs by one read-back. */
  async readAll(names: readonly string[]): Promise<HostArray[]> {
    const places = names.map((name) => this.#place(name));
    const pieces = await this.#readBack(places.map(({ storage }) => storage));
    return places.map(({ shape, dtype }, i) => decode(pieces[i]!, shape, dtype));
  }

  /** The bytes of storages, by way of one staging buffer. */
  async #readBack(storages: readonly Storage[]): Promise<ArrayBuffer[]> {
    const { gpu } = this.device;
    const ends: number[] = [];
    for (const storage of storages) ends.push((ends.at(-1) ?? 0) + storageBytes(storage));
    const { MAP_READ, COPY_DST } = GPUBufferUsage;
    const staging = gpu.createBuffer({
      label: "read-back",
      size: ends.at(-1)!,
      usage: MAP_READ | COPY_DST,
    });
    const encoder = gpu.createCommandEncoder();
    storages.forEach((storage, i) => {
      const size = storageBytes(storage);
      encoder.copyBufferToBuffer(this.#buffers.get(storage.id)!, 0, staging, ends[i]! - size, size);
    });
    gpu.queue.submit([encoder.finish()]);
    try {
      await staging.mapAsync(GPUMapMode.READ).catch((error) => {
        this.device.check();
        throw error;
      });
      this.device.check();
      const bytes = staging.getMappedRange();
      return storages.map((storage, i) => bytes.slice(ends[i]! - storageBytes(storage), ends[i]));
    } finally {
      staging.destroy();
    }
  }

  /** Runs once with a timestamp on both sides of each dispatch. Throws FEATURE_MISSING without timestamp-query. */
  async profile(): Promise<Timing[]> {
    const { gpu } = this.device;
    if (!gpu.features.has("timestamp-query")) {
      throw new DiffusionError(
        "FEATURE_MISSING",
        "The adapter has no timestamp-query: nothing can be timed.",
      );
    }
    const timings: Timing[] = [];
    // A query set holds 4,096 timestamps at the most.
    for (let start = 0; start < this.#steps.length; start += 2048) {
      timings.push(...(await this.#profile(this.#steps.slice(start, start + 2048))));
    }
    return timings;
  }

  async #profile(steps: readonly Step[]): Promise<Timing[]> {
    const { gpu } = this.device;
    const count = 2 * steps.length;
    const querySet = gpu.createQuerySet({ type: "timestamp", count });
    const resolved = gpu.createBuffer({
      size: 8 * count,
      usage: GPUBufferUsage.QUERY_RESOLVE | GPUBufferUsage.COPY_SRC,
    });
    const staging = gpu.createBuffer({
      size: 8 * count,
      usage: GPUBufferUsage.MAP_READ | GPUBufferUsage.COPY_DST,
    });
    const encoder = gpu.createCommandEncoder();
    steps.forEach((step, i) => {
      const timestampWrites = {
        querySet,
        beginningOfPassWriteIndex: 2 * i,
        endOfPassWriteIndex: 2 * i + 1,
      };
      const pass = encoder.beginComputePass({ timestampWrites });
      encodeStep(pass, step);
      pass.end();
    });
    encoder.resolveQuerySet(querySet, 0, count, resolved, 0);
    encoder.copyBufferToBuffer(resolved, 0, staging, 0, 8 * count);
    gpu.queue.submit([encoder.finish()]);
    await staging.mapAsync(GPUMapMode.READ);
    this.device.check();
    const times = new BigInt64Array(staging.getMappedRange().slice(0));
    for (const object of [querySet, resolved, staging]) object.destroy();
    return steps.map(({ dispatch }, i) => ({
      label: dispatch.label,
      kernel: dispatch.kernel.name,
      ms: Number(times[2 * i + 1]! - times[2 * i]!) / 1e6,
      ...cost(dispatch),
    }));
  }

  /** Runs dispatch by dispatch and reads every result: the debugger of this project. */
  async *trace(): AsyncGenerator<Traced> {
    for (const step of this.#steps) {
      submit(this.device, [step]);
      const { kernel, operands, label } = step.dispatch;
      for (const { name, access } of kernel.operands) {
        const storage = operands[name];
        if (access !== "write" || !storage?.tensor) continue;
        const { shape, dtype, op } = storage.tensor;
        const [bytes] = await this.#readBack([storage]);
        yield { label, kernel: kernel.name, op, shape, data: decode(bytes!, shape, dtype) };
      }
    }
  }

  /** The buffers that it works in, for another plan to share (see `CompileOptions.scratch`). */
  get scratch(): GPUBuffer[] {
    const storages = this.program.storages.filter(({ kind }) => kind === "scratch");
    const buffers = storages.map(({ id }) => this.#buffers.get(id)).filter((b) => b !== undefined);
    return [...new Set(buffers)];
  }

  /** Bytes of the buffers that this plan made for itself. */
  get ownBytes(): number {
    return this.#owned.reduce((sum, { size }) => sum + size, 0);
  }

  async destroy(): Promise<void> {
    for (const buffer of this.#owned) this.device.destroyBuffer(buffer);
    await this.#weights?.destroy();
  }

  #place(name: string): Place {
    const place = this.program.outputs[name] ?? this.program.inputs[name];
    if (!place) throw new DiffusionError("INTERNAL", `the plan has no input or output "${name}"`);
    return place;
  }
}

/** FLOPs of a dispatch, and the bytes it must move: by the kernel's word, or each operand once. */
export function cost({ kernel, params, operands }: Dispatch): { flops: number; bytes: number } {
  const all = [...new Set(Object.values(operands))].reduce((sum, s) => sum + storageBytes(s), 0);
  return { flops: kernel.flops(params), bytes: kernel.bytes?.(params) ?? all };
}
