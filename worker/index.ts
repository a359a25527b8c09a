/** The package's public face once more, with all the work done in a worker: the page never freezes. */
import { DiffusionError } from "../engine/errors.ts";
import { type LoadOptions, type ModelSource, Picture } from "../model/index.ts";
import type {
  GenerateRequest,
  GenerateResult,
  ImagePipeline,
  ModelInfo,
  RequestDefaults,
} from "../model/request.ts";
import { type Connection, connect } from "./connection.ts";
import type { LoadedInfo } from "./protocol.ts";

export * from "../model/index.ts";

export interface WorkerLoadOptions extends Omit<LoadOptions, "device"> {
  /**
   * A worker that runs `wgsl-diffusion/worker/main`. Bundlers that know `new Worker(new URL(…,
   * import.meta.url))` (vite, webpack, Parcel) and pages without a bundler need none.
   */
  readonly worker?: Worker | undefined;
}

/** As `StableDiffusion` of "wgsl-diffusion". */
export class StableDiffusion implements ImagePipeline {
  readonly #connection: Connection;
  readonly #info: LoadedInfo;
  #running = false;
  #disposed: Promise<void> | undefined;

  /** Starts a worker and opens the checkpoint there; options and errors are those of the original. */
  static async fromPretrained(
    model: ModelSource,
    options: WorkerLoadOptions = {},
  ): Promise<StableDiffusion> {
    const { worker, ...rest } = options;
    options.signal?.throwIfAborted();
    const connection = connect(worker ?? startWorker());
    try {
      return new StableDiffusion(connection, await connection.load(absolute(model), rest));
    } catch (error) {
      connection.end();
      throw error;
    }
  }

  private constructor(connection: Connection, info: LoadedInfo) {
    this.#connection = connection;
    this.#info = info;
  }

  get warnings(): readonly string[] {
    return this.#info.warnings;
  }

  get dtype(): "f16" | "f32" {
    return this.#info.dtype;
  }

  /** What this checkpoint fills in where a request says nothing, and what kind it is. */
  get defaults(): RequestDefaults {
    return this.#info.defaults;
  }

  get model(): ModelInfo {
    return this.#info.model;
  }

  /**
   * Paints. A device that is lost is opened again, and the picture begun anew, once. Throws what the
   * original throws, and INTERNAL if the worker dies.
   */
  async generate(
    request: GenerateRequest,
  ): Promise<GenerateResult & { images: readonly Picture[] }> {
    if (this.#disposed) throw new DiffusionError("DISPOSED", "this pipeline was disposed of");
    if (this.#running) {
      throw new DiffusionError("BUSY", "this pipeline is painting already", {
        hint: "Await the first call, or load a second pipeline.",
      });
    }
    this.#running = true;
    try {
      const result = await this.#connection.generate(request);
      const images = result.images.map(
        ({ width, height, data }) => new Picture(width, height, data),
      );
      return { ...result, images };
    } finally {
      this.#running = false;
    }
  }

  /** Stops a run in progress, frees everything, and ends the worker. */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#connection.dispose().finally(() => this.#connection.end());
    return this.#disposed;
  }
}

function startWorker(): Worker {
  return new Worker(new URL("./main.ts", import.meta.url), {
    type: "module",
    name: "wgsl-diffusion",
  });
}

/** A worker's own address is another: "./models/" is meant from the page's. */
function absolute(model: ModelSource): ModelSource {
  if (model instanceof URL) return model.href;
  if (typeof model !== "string" || !/^\.{0,2}\//.test(model)) return model;
  return new URL(model, globalThis.location.href).href;
}
