/** Stable Diffusion: a checkpoint on a device, and the way from a prompt to a picture. */
import { openModel } from "#open";
import { DiffusionError, type ErrorCode } from "../engine/errors.ts";
import { type Device, type DType, openDevice, type Plan, WeightCache } from "../engine/index.ts";
import { createTorchGenerator } from "../engine/random.ts";
import { createSampler, type Sampler, SamplerError } from "../sampler/index.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import {
  coefficientTable,
  initialState,
  type LatentShape,
  type NoiseSource,
  noiseSource,
} from "./denoise.ts";
import { runSteps } from "./loop.ts";
import type { OpenOptions } from "./open-options.ts";
import { compileDecoder, compilePlans, type Plans, type RunSizes } from "./painter.ts";
import type { Picture } from "./picture.ts";
import { doubtOfPrediction } from "./probe.ts";
import { readLatents, readPicture } from "./read-back.ts";
import {
  type GenerateRequest,
  type GenerateResult,
  type ImagePipeline,
  type LoadOptions,
  type ModelInfo,
  type ResolvedRequest,
  validateRequest,
} from "./request.ts";
import { timestepEmbedding } from "./unet.ts";

/** Plans for one set of sizes, which `key` spells out. */
interface Compiled {
  readonly key: string;
  readonly plans: Plans;
  /** Absent where latents were asked for. */
  readonly decoder: Plan | undefined;
}

export class StableDiffusion implements ImagePipeline {
  readonly #warnings: string[];
  readonly dtype: "f16" | "f32";
  readonly #device: Device;
  readonly #ownsDevice: boolean;
  readonly #checkpoint: Checkpoint;
  readonly #weights: WeightCache;
  readonly #strict: boolean;
  #compiled: Compiled | undefined;
  /** The run in progress; settles without a fault. */
  #running: Promise<void> | undefined;
  #disposed: Promise<void> | undefined;
  readonly #disposal = new AbortController();

  /**
   * Opens a checkpoint: every header is read and checked, weights follow when they are needed.
   * `path` is a diffusers folder, or a single file in the original's layout. Throws WEIGHTS_…, CONFIG,
   * TOKENIZER, SCHEDULER, and what `openDevice` throws; with `strict`, FEATURE_MISSING, SCHEDULER or
   * WEIGHTS_MISMATCH where it would warn.
   */
  static async fromPretrained(
    path: string,
    options: LoadOptions & OpenOptions = {},
  ): Promise<StableDiffusion> {
    options.signal?.throwIfAborted();
    const folder = await openModel(path, options);
    let device: Device | undefined;
    try {
      const checkpoint = await openCheckpoint(folder, options.onProgress);
      options.signal?.throwIfAborted();
      device = (options.device as Device | undefined) ?? (await openDevice());
      const sd = new StableDiffusion(device, checkpoint, options);
      await sd.#checkPrediction(options.signal);
      return sd;
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
    this.#warnings = loadWarnings(device, options, this.dtype);
    for (const warning of checkpoint.warnings) this.#warn("WEIGHTS_MISMATCH", warning);
  }

  get warnings(): readonly string[] {
    return this.#warnings;
  }

  #warn(code: ErrorCode, warning: string): void {
    if (this.#strict) throw new DiffusionError(code, warning);
    this.#warnings.push(warning);
  }

  /** Asks a UNet whose prediction type was guessed; loads its weights, which are kept. */
  async #checkPrediction(signal = new AbortController().signal): Promise<void> {
    const setting = { device: this.#device, weights: this.#weights, dtype: this.dtype, signal };
    try {
      const doubt = await doubtOfPrediction(setting, this.#checkpoint, this.#strict);
      if (doubt) this.#warn("SCHEDULER", doubt);
    } catch (error) {
      await this.#weights.destroy();
      throw error;
    }
  }

  /**
   * Paints. Throws BAD_REQUEST or SCHEDULER before any GPU work, NUMERIC if a latent or pixel is not
   * finite, BUSY while another call runs, DISPOSED after disposal, `signal.reason` when aborted.
   */
  async generate(
    request: GenerateRequest,
  ): Promise<GenerateResult & { images: readonly Picture[] }> {
    this.#disposal.signal.throwIfAborted();
    if (this.#running) {
      throw new DiffusionError("BUSY", "this pipeline is painting already", {
        hint: "Await the first call, or load a second pipeline.",
      });
    }
    const signals = [this.#disposal.signal, request.signal].filter(
      (signal) => signal !== undefined,
    );
    const result = this.#generate(request, AbortSignal.any(signals));
    this.#running = result.then(
      () => undefined,
      () => undefined,
    );
    try {
      return await result;
    } finally {
      this.#running = undefined;
    }
  }

  async #generate(request: GenerateRequest, signal: AbortSignal) {
    const clock = stopwatch();
    signal.throwIfAborted();
    const resolved = validateRequest(request, this.#defaults());
    if (resolved.guidanceRescale !== 0) {
      throw new DiffusionError("BAD_REQUEST", "guidanceRescale is not in this version", {
        hint: "Leave it out.",
      });
    }
    const sampler = this.#sampler(resolved);
    const { ids, warnings } = this.#tokenize(resolved);
    const latents = this.#latentShape(resolved);
    const sizes = {
      latents,
      evaluations: sampler.rows.length,
      repeats: repeats(resolved),
      noise: sampler.draws > 0,
      tokens: ids.tokens,
    };
    const { plans, decoder } = await this.#compile(sizes, request.output !== "latent", signal);
    clock.lap("load");
    const noise = this.#start(plans, resolved, sampler, latents, ids.values);
    await plans.prompt.done();
    clock.lap("encode");
    await runSteps(plans.step, sampler, { signal, onStep: request.onStep, noise });
    clock.lap("steps");
    const how = `${resolved.scheduler}, ${this.dtype}`;
    const images: Picture[] = [];
    for (let i = 0; decoder && i < latents.batch; i++) {
      images.push(await readPicture(decoder, i, latents, this.#checkpoint.factor, how));
      signal.throwIfAborted();
    }
    const read = decoder ? {} : { latents: await readLatents(plans.step, latents, how) };
    clock.lap("decode");
    return {
      images,
      ...read,
      seed: resolved.seed,
      warnings,
      timings: clock.times(),
      request: resolved,
      model: this.#info(),
    };
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
  async #compile(sizes: RunSizes, decode: boolean, signal: AbortSignal): Promise<Compiled> {
    const key = JSON.stringify({ sizes, decode });
    if (this.#compiled?.key === key) return this.#compiled;
    await this.#freePlans();
    const setting = { device: this.#device, weights: this.#weights, dtype: this.dtype, signal };
    // The decoder first: its buffers are the largest, and what it cannot do is said before the work.
    const decoder = decode
      ? await compileDecoder(setting, this.#checkpoint, sizes.latents)
      : undefined;
    try {
      const plans = await compilePlans(setting, this.#checkpoint, sizes, decoder);
      this.#compiled = { key, plans, decoder };
      return this.#compiled;
    } catch (error) {
      await decoder?.destroy();
      throw error;
    }
  }

  async #freePlans(): Promise<void> {
    const { plans, decoder } = this.#compiled ?? {};
    this.#compiled = undefined;
    await plans?.destroy();
    await decoder?.destroy();
  }

  /** Writes all that a run starts from, submits what precedes the loop, and leaves the noise of its steps. */
  #start(
    plans: Plans,
    request: ResolvedRequest,
    sampler: Sampler,
    latents: LatentShape,
    ids: number[],
  ): NoiseSource {
    const generator = createTorchGenerator(request.seed);
    const noise = generator.randn(
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
    return noiseSource(generator, latents);
  }

  #info(): ModelInfo {
    const { name, scheduler } = this.#checkpoint;
    const adapter = this.#device.info.description || this.#device.info.device;
    return { name, predictionType: scheduler.predictionType, dtype: this.dtype, adapter };
  }

  /**
   * Stops a run in progress (it rejects with DISPOSED), frees the weights and plans, closes the files,
   * and the device if this pipeline opened it.
   */
  [Symbol.asyncDispose](): Promise<void> {
    this.#disposed ??= this.#dispose();
    return this.#disposed;
  }

  async #dispose(): Promise<void> {
    this.#disposal.abort(new DiffusionError("DISPOSED", "this pipeline was disposed of"));
    await this.#running;
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
