/** Stable Diffusion: a checkpoint on a device, and the way from a prompt to a picture. */
import { openFolder } from "#folder";
import { DiffusionError } from "../engine/errors.ts";
import { type Device, type DType, openDevice, type Plan, WeightCache } from "../engine/index.ts";
import { createTorchGenerator } from "../engine/random.ts";
import { createSampler, type Sampler, SamplerError } from "../sampler/index.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { coefficientTable, initialState, type LatentShape, latentsOf } from "./denoise.ts";
import { compileDecoder, compilePlans, type Plans, type RunSizes } from "./painter.ts";
import {
  type GenerateRequest,
  type GenerateResult,
  type ImagePipeline,
  type LoadOptions,
  type ModelInfo,
  type ResolvedRequest,
  type RgbaImage,
  validateRequest,
} from "./request.ts";
import { timestepEmbedding } from "./unet.ts";

/** Steps that may be under way on the GPU before the host waits for the oldest. */
const IN_FLIGHT = 2;

export class StableDiffusion implements ImagePipeline {
  readonly warnings: readonly string[];
  readonly dtype: "f16" | "f32";
  readonly #device: Device;
  readonly #ownsDevice: boolean;
  readonly #checkpoint: Checkpoint;
  readonly #weights: WeightCache;
  readonly #strict: boolean;
  #plans: { readonly key: string; readonly plans: Plans } | undefined;
  #decoder: Plan | undefined;
  #state: "idle" | "busy" | "disposed" = "idle";

  /**
   * Opens a checkpoint: every header is read and checked, weights follow when they are needed.
   * `directory` is a diffusers folder. Throws WEIGHTS_…, CONFIG, TOKENIZER, SCHEDULER, and what
   * `openDevice` throws; with `strict`, FEATURE_MISSING where it would warn.
   */
  static async fromPretrained(
    directory: string,
    options: LoadOptions = {},
  ): Promise<StableDiffusion> {
    options.signal?.throwIfAborted();
    const folder = await openFolder(directory);
    let device: Device | undefined;
    try {
      const checkpoint = await openCheckpoint(folder, options.onProgress);
      options.signal?.throwIfAborted();
      device = (options.device as Device | undefined) ?? (await openDevice());
      return new StableDiffusion(device, checkpoint, options);
    } catch (error) {
      await folder.close();
      if (!options.device) device?.destroy();
      throw error;
    }
  }

  private constructor(device: Device, checkpoint: Checkpoint, options: LoadOptions) {
    this.#device = device;
    this.#ownsDevice = options.device === undefined;
    this.#checkpoint = checkpoint;
    this.#weights = new WeightCache(device);
    this.#strict = options.strict ?? false;
    // Halves save memory and bandwidth on a GPU; a CPU that plays one is slower with them.
    this.dtype = options.dtype ?? (device.target.software ? "f32" : "f16");
    this.warnings = loadWarnings(device, options, this.dtype);
  }

  /**
   * Paints. Throws BAD_REQUEST or SCHEDULER before any GPU work, NUMERIC if a latent or pixel is not
   * finite, BUSY while another call runs, DISPOSED after disposal, `signal.reason` when aborted.
   */
  async generate(request: GenerateRequest): Promise<GenerateResult> {
    this.#begin();
    try {
      return await this.#generate(request);
    } finally {
      if (this.#state === "busy") this.#state = "idle";
    }
  }

  async #generate(request: GenerateRequest): Promise<GenerateResult> {
    const clock = stopwatch();
    const resolved = validateRequest(request, this.#defaults());
    if (resolved.guidanceRescale !== 0) {
      throw new DiffusionError("BAD_REQUEST", "guidanceRescale is not in this version", {
        hint: "Leave it out.",
      });
    }
    const sampler = this.#sampler(resolved);
    const { ids, warnings } = this.#tokenize(resolved);
    request.signal?.throwIfAborted();
    const latents = this.#latentShape(resolved);
    const sizes = {
      latents,
      evaluations: sampler.rows.length,
      repeats: repeats(resolved),
      tokens: ids.tokens,
    };
    const plans = await this.#compile(sizes);
    clock.lap("load");
    this.#start(plans, resolved, sampler, latents, ids.values);
    await plans.prompt.done();
    clock.lap("encode");
    await this.#steps(plans.step, sampler, request);
    clock.lap("steps");
    const images =
      request.output === "latent" ? [] : await this.#decode(plans, latents, request.signal);
    const state = request.output === "latent" ? await finiteState(plans.step, latents) : undefined;
    clock.lap("decode");
    return {
      images,
      ...(state
        ? { latents: { data: latentsOf(state, latents), shape: torchShape(latents) } }
        : {}),
      seed: resolved.seed,
      warnings,
      timings: clock.times(),
      request: resolved,
      model: this.#info(),
    };
  }

  #begin(): void {
    if (this.#state === "disposed")
      throw new DiffusionError("DISPOSED", "this pipeline was disposed of");
    if (this.#state === "busy") {
      throw new DiffusionError("BUSY", "this pipeline is painting already", {
        hint: "Await the first call, or load a second pipeline.",
      });
    }
    this.#state = "busy";
  }

  #defaults(): Parameters<typeof validateRequest>[1] {
    const { unet, factor, scheduler } = this.#checkpoint;
    const [height, width] = unet.config.sampleSize ?? [64, 64];
    return { width: width * factor, height: height * factor, scheduler: scheduler.scheduler };
  }

  #sampler(request: ResolvedRequest): Sampler {
    const { scheduler } = this.#checkpoint;
    const swap = request.scheduler === scheduler.scheduler ? undefined : request.scheduler;
    try {
      return createSampler(swap, scheduler.values, request.steps);
    } catch (cause) {
      if (!(cause instanceof SamplerError)) throw cause;
      throw new DiffusionError("SCHEDULER", cause.message, { cause });
    }
  }

  #tokenize({ prompt, negativePrompt, ...request }: ResolvedRequest) {
    const { tokenizer, text } = this.#checkpoint;
    const tokens = Math.min(tokenizer.maxLength, text.config.maxPositionEmbeddings);
    const texts = repeats(request) === 2 ? [negativePrompt, prompt] : [prompt];
    const encodings = texts.map((text) => tokenizer.encode(text, tokens));
    const warnings = encodings
      .filter(({ truncated }) => truncated)
      .map(
        ({ truncated }) =>
          `the prompt is longer than ${tokens} tokens; this part of it is ignored: ${JSON.stringify(truncated)}`,
      );
    if (this.#strict && warnings[0]) throw new DiffusionError("BAD_REQUEST", warnings[0]);
    return { ids: { tokens, values: encodings.flatMap(({ ids }) => [...ids]) }, warnings };
  }

  #latentShape({ numImages, width, height }: ResolvedRequest): LatentShape {
    const { factor, unet } = this.#checkpoint;
    return {
      batch: numImages,
      height: height / factor,
      width: width / factor,
      channels: unet.config.outChannels,
    };
  }

  /** The plans for these sizes; those of other sizes are freed first. */
  async #compile(sizes: RunSizes): Promise<Plans> {
    const key = JSON.stringify(sizes);
    if (this.#plans?.key === key) return this.#plans.plans;
    await this.#freePlans();
    const plans = await compilePlans(
      this.#device,
      this.#weights,
      this.#checkpoint,
      this.dtype,
      sizes,
    );
    this.#plans = { key, plans };
    return plans;
  }

  async #freePlans(): Promise<void> {
    await this.#decoder?.destroy();
    await this.#plans?.plans.destroy();
    this.#decoder = undefined;
    this.#plans = undefined;
  }

  /** Writes all that a run starts from, and submits what precedes the loop. */
  #start(
    plans: Plans,
    request: ResolvedRequest,
    sampler: Sampler,
    latents: LatentShape,
    ids: number[],
  ): void {
    const noise = createTorchGenerator(request.seed).randn(
      latents.batch * latents.channels * latents.height * latents.width,
    );
    const { config } = this.#checkpoint.unet;
    plans.prompt.write("ids", ids);
    plans.times.write(
      "sinusoids",
      timestepEmbedding(
        sampler.rows.map(({ timestep }) => timestep),
        config,
      ),
    );
    plans.step.write("state", initialState(noise, latents, sampler.initNoiseSigma));
    plans.step.write("table", coefficientTable(sampler, request.guidanceScale));
    plans.prompt.run();
    plans.times.run();
  }

  /** The loop: the host writes a number and submits; it waits only when it is two steps ahead. */
  async #steps(step: Plan, sampler: Sampler, { signal, onStep }: GenerateRequest): Promise<void> {
    const started = performance.now();
    const pending: Promise<void>[] = [];
    const finish = async (done: number) => {
      await pending.shift();
      const elapsedMs = performance.now() - started;
      const steps = sampler.rows.length;
      const { timestep } = sampler.rows[done - 1]!;
      onStep?.({
        step: done,
        steps,
        timestep,
        elapsedMs,
        etaMs: (elapsedMs / done) * (steps - done),
      });
    };
    for (let i = 0; i < sampler.rows.length; i++) {
      signal?.throwIfAborted();
      step.write("step", [i]);
      step.run();
      const done = step.done();
      done.catch(() => undefined);
      pending.push(done);
      if (pending.length >= IN_FLIGHT) await finish(i + 2 - IN_FLIGHT);
    }
    while (pending.length > 0) await finish(sampler.rows.length - pending.length + 1);
    signal?.throwIfAborted();
  }

  async #decode(
    plans: Plans,
    latents: LatentShape,
    signal: AbortSignal | undefined,
  ): Promise<RgbaImage[]> {
    const { factor } = this.#checkpoint;
    this.#decoder ??= await compileDecoder(
      this.#device,
      this.#weights,
      this.#checkpoint,
      this.dtype,
      latents,
      plans.step.buffer("state"),
    );
    const images: RgbaImage[] = [];
    for (let i = 0; i < latents.batch; i++) {
      signal?.throwIfAborted();
      this.#decoder.write("index", [i]);
      this.#decoder.run();
      const [words, status] = await this.#decoder.readAll(["rgba", "status"]);
      images.push(picture(words as Int32Array, status![0]!, latents, factor));
    }
    return images;
  }

  #info(): ModelInfo {
    const { name, scheduler } = this.#checkpoint;
    const adapter = this.#device.info.description || this.#device.info.device;
    return { name, predictionType: scheduler.predictionType, dtype: this.dtype, adapter };
  }

  /** Frees the weights and plans, closes the files, and the device if this pipeline opened it. */
  async [Symbol.asyncDispose](): Promise<void> {
    if (this.#state === "disposed") return;
    this.#state = "disposed";
    await this.#freePlans();
    await this.#weights.destroy();
    await this.#checkpoint[Symbol.asyncDispose]();
    if (this.#ownsDevice) this.#device.destroy();
  }
}

/** diffusers turns guidance on above 1. */
function repeats({ guidanceScale }: Pick<ResolvedRequest, "guidanceScale">): 1 | 2 {
  return guidanceScale > 1 ? 2 : 1;
}

function torchShape({ batch, channels, height, width }: LatentShape): number[] {
  return [batch, channels, height, width];
}

/** RGBA bytes, if every pixel is a number: a pixel that is not finite has alpha 0. */
function picture(
  words: Int32Array,
  firstBad: number,
  latents: LatentShape,
  factor: number,
): RgbaImage {
  if (firstBad > 0) throw nonFinite(`the latents are not finite after step ${firstBad}`);
  const data = new Uint8ClampedArray(
    words.buffer as ArrayBuffer,
    words.byteOffset,
    words.byteLength,
  );
  for (let i = 3; i < data.length; i += 4) {
    if (data[i] === 0) throw nonFinite("the VAE decoder put out pixels that are not finite");
  }
  return { width: latents.width * factor, height: latents.height * factor, data };
}

/** The state after the last step. Throws NUMERIC if a latent is not finite. */
async function finiteState(step: Plan, latents: LatentShape): Promise<Float32Array> {
  const state = (await step.read("state")) as Float32Array;
  const count = latents.batch * latents.channels * latents.height * latents.width;
  const flags = state.subarray(6 * count);
  const bad = flags.filter((value) => value > 0);
  if (bad.length > 0)
    throw nonFinite(
      `the latents are not finite after step ${bad.reduce((a, b) => Math.min(a, b))}`,
    );
  return state;
}

function nonFinite(what: string): DiffusionError {
  return new DiffusionError("NUMERIC", `${what}: the picture would be black`, {
    hint: "Retry with --dtype f32; if that fails too, the weights hold NaN or infinity.",
  });
}

function loadWarnings(device: Device, options: LoadOptions, dtype: DType): string[] {
  const warnings: string[] = [];
  if (device.target.software) {
    warnings.push(
      `running on ${device.info.description || device.info.device} (CPU): about 1000 times slower than a GPU`,
    );
  }
  if (dtype === "f16" && !device.target.features.has("shader-f16")) {
    const message =
      "the adapter lacks shader-f16: halves are stored packed and computed with in f32";
    if (options.strict) {
      throw new DiffusionError("FEATURE_MISSING", message, {
        hint: "Use --dtype f32, or leave --strict out.",
      });
    }
    warnings.push(message);
  }
  return warnings;
}

/** Milliseconds between laps, by a clock that never jumps. */
function stopwatch() {
  const laps: Record<string, number> = {};
  let last = performance.now();
  return {
    lap(name: string) {
      const now = performance.now();
      laps[name] = now - last;
      last = now;
    },
    times: () => laps,
  };
}
