/**
 * Weights on the GPU: each constant expression over parameters ("the transpose of unet.conv_in.weight
 * as f16") is computed once per cache and shared by every plan that wants it. Parameters are streamed
 * through small staging buffers, one expression at a time, so host memory stays flat.
 */
import type { Device } from "./device.ts";
import { BYTES } from "./dtype.ts";
import type { Storage } from "./lower/lowering.ts";
import { place, storageBytes } from "./memory.ts";
import { lowerWeight, type Program } from "./program.ts";
import { numel } from "./shape.ts";
import { compilePipelines, makeSteps, submit } from "./steps.ts";
import type { ParameterSource, Tensor } from "./tensor.ts";
import { verify } from "./verify.ts";

/** Largest piece that is read and uploaded at a time, and most bytes under way to the GPU. */
const PIECE = 32 * 1024 * 1024;

export class WeightCache {
  readonly #device: Device;
  readonly #buffers = new Map<string, Promise<GPUBuffer>>();
  readonly #sources = new Map<ParameterSource, number>();
  /** One expression at a time: two would double the staging memory. */
  #turn: Promise<unknown> = Promise.resolve();
  /** Bytes that were handed to the queue since it was last known to be empty. */
  #inFlight = 0;

  constructor(device: Device) {
    this.#device = device;
  }

  /** The buffer that holds `weight`; computed at the first call. */
  get(weight: Tensor): Promise<GPUBuffer> {
    const key = this.#key(weight);
    let buffer = this.#buffers.get(key);
    if (!buffer) {
      buffer = this.#turn.then(() => this.#load(weight));
      this.#turn = buffer.catch(() => undefined);
      this.#buffers.set(key, buffer);
      // What failed once (an abort, a full GPU) may be tried again.
      buffer.catch(() => this.#buffers.delete(key));
    }
    return buffer;
  }

  /** Two expressions of the same ops on the same parameters have the same key. */
  #key(t: Tensor): string {
    const { source, ...attrs } = t.attrs as { source?: ParameterSource };
    if (source) {
      if (!this.#sources.has(source)) this.#sources.set(source, this.#sources.size);
      return `#${this.#sources.get(source)}[${t.shape}]${JSON.stringify(attrs)}`;
    }
    const inputs = Object.entries(t.inputs).map(([name, input]) => `${name}=${this.#key(input)}`);
    return `${t.op}[${t.shape}]${t.dtype}${JSON.stringify(attrs)}(${inputs.join(",")})`;
  }

  async #load(weight: Tensor): Promise<GPUBuffer> {
    const program = lowerWeight(weight, this.#device.target);
    const parameters = program.storages.filter(({ kind }) => kind === "parameter");
    const staged = new Map<number, GPUBuffer>();
    try {
      for (const storage of parameters) {
        const buffer = this.#device.createBuffer(storage.name, storageBytes(storage));
        staged.set(storage.id, buffer);
        await this.#upload(buffer, storage.tensor!);
      }
      const result = await runOnce(this.#device, program, staged, program.outputs.weight!.storage);
      for (const [id, buffer] of staged) if (buffer === result) staged.delete(id);
      return result;
    } finally {
      // WebGPU keeps what was submitted alive until it is done.
      for (const buffer of staged.values()) this.#device.destroyBuffer(buffer);
    }
  }

  async #upload(buffer: GPUBuffer, parameter: Tensor): Promise<void> {
    const { gpu } = this.#device;
    const { source, from = 0 } = parameter.attrs as { source: ParameterSource; from?: number };
    const start = from * numel(parameter.shape.slice(1)) * BYTES[source.type];
    const total = numel(parameter.shape) * BYTES[source.type];
    for (let offset = 0; offset < total; offset += PIECE) {
      const bytes = await source.read(start + offset, Math.min(PIECE, total - offset));
      this.#device.check();
      await this.#makeRoom(bytes.byteLength);
      gpu.queue.writeBuffer(buffer, offset, fourAligned(bytes));
    }
    this.#device.check();
  }

  /**
   * writeBuffer copies into memory of its own, and those copies pile up until the queue is empty. Waiting for each
   * weight would cost more than most of them: a checkpoint has hundreds of a few kilobytes.
   */
  async #makeRoom(bytes: number): Promise<void> {
    if (this.#inFlight + bytes > PIECE) {
      await this.#device.gpu.queue.onSubmittedWorkDone();
      this.#device.check();
      this.#inFlight = 0;
    }
    this.#inFlight += bytes;
  }

  /** Frees every weight. */
  async destroy(): Promise<void> {
    for (const buffer of await Promise.allSettled(this.#buffers.values())) {
      if (buffer.status === "fulfilled") this.#device.destroyBuffer(buffer.value);
    }
    this.#buffers.clear();
  }
}

/** writeBuffer wants a multiple of four bytes; an odd number of halves gets two more. */
function fourAligned(bytes: Uint8Array): Uint8Array<ArrayBuffer> {
  if (bytes.byteLength % 4 === 0) return bytes as Uint8Array<ArrayBuffer>;
  const padded = new Uint8Array(Math.ceil(bytes.byteLength / 4) * 4);
  padded.set(bytes);
  return padded;
}

/** Runs a program once with given parameter buffers and keeps the buffer of one result only. */
async function runOnce(
  device: Device,
  program: Program,
  staged: ReadonlyMap<number, GPUBuffer>,
  result: Storage,
): Promise<GPUBuffer> {
  const given = staged.get(result.id);
  if (given) return given;
  const placement = place(program);
  verify(program, placement);
  const made: GPUBuffer[] = [];
  const buffers = new Map(staged);
  let kept: GPUBuffer | undefined;
  try {
    for (const bytes of placement.buffers) made.push(device.createBuffer(result.name, bytes));
    for (const [id, index] of placement.bufferOf) buffers.set(id, made[index]!);
    const pipelines = await compilePipelines(device, program);
    submit(
      device,
      makeSteps(device, program, pipelines, buffers, (buffer) => made.push(buffer)),
    );
    device.check();
    kept = buffers.get(result.id)!;
    return kept;
  } finally {
    for (const buffer of made) if (buffer !== kept) device.destroyBuffer(buffer);
  }
}
