/** Stable Diffusion: a checkpoint on a device, and the way from a prompt to a picture. */
import { openModel } from "#open";
import { DiffusionError, type ErrorCode } from "../engine/errors.ts";
import {
  type Device,
  openDevice,
  type Plan,
  type Tuned,
  type TuneOptions,
  tune,
  WeightCache,
} from "../engine/index.ts";
import {
  createGenerator,
  type Generator,
  joinGenerators,
  pictureGenerators,
} from "../engine/random.ts";
import { adapterName } from "../engine/software.ts";
import type { Sampler } from "../sampler/index.ts";
import { type Checkpoint, openCheckpoint } from "./checkpoint.ts";
import { checkSkip } from "./clip.ts";
import { coefficientTable, initialState, type LatentShape, noiseSource } from "./denoise.ts";
import type { ModelSource } from "./files/model-source.ts";
import type { DepthMap } from "./image/depth.ts";
import { unknownWordsWarning } from "./known-words.ts";
import { loadWarnings } from "./load-warnings.ts";
import { runLoop } from "./loop.ts";
import type { ChunkSizes, Plans, RunSizes, Setting } from "./painter.ts";
import type { Picture } from "./picture.ts";
import { PlanCache } from "./plan-cache.ts";
import { createPreviews } from "./preview.ts";
import { doubtOfPrediction } from "./probe.ts";
import { chunkSizes, conditionWeights, rowsAt } from "./prompt/halves.ts";
import { type PromptPlan, planPrompt } from "./prompt/plan.ts";
import { readLatents, readPicture, readTiledPicture } from "./read-back.ts";
import {
  type CheckedRequest,
  type CheckingPipeline,
  type GenerateRequest,
  type GenerateResult,
  type LoadOptions,
  type ModelInfo,
  type RequestDefaults,
  type ResolvedRequest,
  validateRequest,
} from "./request.ts";
import { scalesOf, stageOf, stageTable } from "./run-guidance.ts";
import { samplerOf } from "./sampling.ts";
import { stopwatch } from "./stopwatch.ts";
import { depthChannel } from "./tasks/depth-channel.ts";
import { pictureEncoder } from "./tasks/encode-pictures.ts";
import { noising } from "./tasks/noise-level.ts";
import { marked, pictureOf } from "./tasks/picture.ts";
import { besideOf, type Run, type Start, startOf } from "./tasks/start.ts";
import { type Task, taskOf } from "./tasks/task.ts";
import { type TileGrid, tileGrid } from "./tile-grid.ts";
import { timestepEmbedding } from "./unet.ts";

/** The prompts of a run, how they make up the halves of guidance, and what the conditions count. */
type Texts = PromptPlan & {
  readonly sizes: ChunkSizes;
  readonly conditions: Float32Array | undefined;
};

export class StableDiffusion implements CheckingPipeline {
  readonly #warnings: string[];
  readonly dtype: "f16" | "f32";
  readonly #device: Device;
  readonly #ownsDevice: boolean;
  readonly #checkpoint: Checkpoint;
  readonly #weights: WeightCache;
  readonly #strict: boolean;
  readonly #plans = new PlanCache();
  /** The run in progress; settles without a fault. */
  #running: Promise<void> | undefined;
  #disposed: Promise<void> | undefined;
  readonly #disposal = new AbortController();

  /**
   * Opens a checkpoint: every header is read and checked, weights follow when they are needed.
   * `model` is a diffusers folder, or a single file in the original's layout: a path in Node; in a browser
   * "org/name" on the hub, an address, or files that a user chose. Throws WEIGHTS_…, CONFIG, TOKENIZER,
   * SCHEDULER, and what `openDevice` throws; with `strict`, FEATURE_MISSING, SCHEDULER or
   * WEIGHTS_MISMATCH where it would warn. In a browser also HUB_404, NETWORK and DISK_FULL.
   */
  static async fromPretrained(
    model: ModelSource,
    options: LoadOptions = {},
  ): Promise<StableDiffusion> {
    options.signal?.throwIfAborted();
    const folder = await openModel(model, options);
    let device: Device | undefined;
    try {
      const checkpoint = await openCheckpoint(folder, options.onProgress);
      options.signal?.throwIfAborted();
      device =
        (options.device as Device | undefined) ??
        (await openDevice({ minimal: options.minimal ?? false, matrix: options.matrix }));
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
    return this.#alone(request.signal, (signal) => this.#generate(request, signal));
  }

  /**
   * For idle time, after a picture: measures variants of the kernels that its plans use, and records the fastest
   * for the next time that the GPU is opened; the plans that are there stay as they are. Throws FEATURE_MISSING
   * where nothing can be timed, BUSY, DISPOSED, `signal.reason`.
   */
  async tune(
    options: Pick<TuneOptions, "budgetMs" | "signal" | "onMeasured"> = {},
  ): Promise<Tuned> {
    return this.#alone(options.signal, (signal) => tune(this.#device, { ...options, signal }));
  }

  /** Runs `work` if nothing else runs; it hears of an abort and of disposal by its signal. */
  async #alone<T>(
    given: AbortSignal | undefined,
    work: (signal: AbortSignal) => Promise<T>,
  ): Promise<T> {
    this.#disposal.signal.throwIfAborted();
    if (this.#running) {
      throw new DiffusionError("BUSY", "this pipeline is painting already", {
        hint: "Await the first call, or load a second pipeline.",
      });
    }
    const signals = [this.#disposal.signal, given].filter((signal) => signal !== undefined);
    const result = work(AbortSignal.any(signals));
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
    const resolved = validateRequest(request, this.defaults);
    const task = taskOf(this.#checkpoint.detected.kind, request);
    if (resolved.strength === 0) return this.#unchanged(request, resolved);
    const { sampler, scales, texts } = this.#prepared(resolved);
    const latents = this.#latentShape(resolved);
    const grid = gridOf(resolved, latents, 1);
    const sizes = this.#sizes(resolved, sampler, texts, latents, grid);
    const want = {
      ...{ sizes, decode: request.output !== "latent", vaeTiling: resolved.vaeTiling },
      decodeTile: resolved.vaeTiling ? grid?.tile : undefined,
    };
    await this.#plans.keepOnly(want);
    const streams = streamsOf(resolved);
    const given = { request, resolved, latents };
    const start = await this.#prepare(task, given, streams, sampler, signal);
    if (this.#strict && start.warnings[0]) {
      throw new DiffusionError("BAD_REQUEST", start.warnings[0]);
    }
    if (request.image) clock.lap("inputs");
    const { plans, decoder, warnings } = await this.#plans.get(
      want,
      this.#setting(signal),
      this.#checkpoint,
    );
    clock.lap("load");
    this.#start(plans, resolved, sampler, { sizes, scales, texts, start });
    await plans.prompt.done();
    clock.lap("encode");
    const { latentRgb } = this.#checkpoint.vae.config;
    const previews = createPreviews(plans.step, sampler, latents, latentRgb, request.onPreview);
    const noise = noiseSource(joinGenerators(streams), latents);
    try {
      await runLoop(plans, grid, sampler, {
        ...{ signal, onStep: request.onStep, noise, previews },
        before: plans.select && selection(plans.select, texts, latents.batch),
      });
    } finally {
      await previews.done();
    }
    clock.lap("steps");
    const how = `${resolved.scheduler}, ${this.dtype}`;
    const images = decoder ? await this.#decode(decoder, resolved, latents, how, signal) : [];
    const read = decoder ? {} : { latents: await readLatents(plans.step, latents, how) };
    clock.lap("decode");
    return {
      images,
      ...read,
      seed: resolved.seed,
      warnings: [...texts.warnings, ...start.warnings, ...warnings],
      timings: clock.times(),
      request: resolved,
      model: this.model,
    };
  }

  #sizes(
    request: ResolvedRequest,
    { rows, draws }: Sampler,
    texts: Texts,
    latents: LatentShape,
    grid: TileGrid | undefined,
  ): RunSizes {
    const halves = texts.positive.length + (texts.negative ? 1 : 0);
    return {
      latents,
      tile: grid?.tile,
      evaluations: rows.length,
      repeats: halves,
      noise: draws > 0,
      tokens: texts.tokens,
      clipSkip: request.clipSkip ?? 0,
      chunks: texts.sizes,
      beside: this.#checkpoint.unet.config.inChannels - latents.channels,
      stage: stageOf(request, halves, texts.conditions !== undefined),
    };
  }

  async #decode(
    decoder: Plan,
    resolved: ResolvedRequest,
    latents: LatentShape,
    how: string,
    signal: AbortSignal,
  ): Promise<Picture[]> {
    const { factor } = this.#checkpoint;
    const grid = resolved.vaeTiling && gridOf(resolved, latents, factor);
    const images: Picture[] = [];
    for (let i = 0; i < latents.batch; i++) {
      const picture = grid
        ? await readTiledPicture(decoder, i, { latents, factor, grid }, how, signal)
        : await readPicture(decoder, i, latents, factor, how);
      images.push(resolved.watermark ? marked(picture) : picture);
      signal.throwIfAborted();
    }
    return images;
  }

  /**
   * The request as `generate` would fill it in (a random seed is drawn anew), and how often it would evaluate
   * the UNet. No GPU work. Throws BAD_REQUEST and SCHEDULER as `generate`.
   */
  check(request: GenerateRequest): CheckedRequest {
    this.#disposal.signal.throwIfAborted();
    const resolved = validateRequest(request, this.defaults);
    taskOf(this.#checkpoint.detected.kind, request);
    const unchanged = resolved.strength === 0;
    const evaluations = unchanged ? 0 : this.#prepared(resolved).sampler.rows.length;
    return { request: resolved, evaluations };
  }

  /** What a run needs beside the GPU. */
  #prepared(request: ResolvedRequest) {
    const sampler = samplerOf(request, this.#checkpoint.scheduler);
    const scales = scalesOf(request, sampler);
    return { sampler, scales, texts: this.#tokenize(request, sampler, scales) };
  }

  /** Strength 0: the image itself, brought to size; nothing runs. */
  #unchanged(request: GenerateRequest, resolved: ResolvedRequest) {
    if (request.output === "latent") {
      throw new DiffusionError("BAD_REQUEST", "strength 0 runs no step and leaves no latents");
    }
    const { width, height, numImages, watermark: mark, seed } = resolved;
    const one = pictureOf(request.image!, width, height);
    return {
      images: Array.from({ length: numImages }, () => (mark ? marked(one) : one)),
      ...{ seed, warnings: [], timings: {}, request: resolved, model: this.model },
    };
  }

  /** What this checkpoint fills in where a request says nothing, and what kind it is. */
  get defaults(): RequestDefaults {
    const { unet, factor, scheduler, detected, maxNoiseLevel } = this.#checkpoint;
    const { kind } = detected;
    const [height, width] = unet.config.sampleSize ?? [64, 64];
    const size = { width: width * factor, height: height * factor };
    return { ...size, scheduler: scheduler.scheduler, kind, factor, maxNoiseLevel };
  }

  /** The prompts as the prompt plan's inputs, before any GPU work. */
  #tokenize(request: ResolvedRequest, sampler: Sampler, scales: readonly number[]): Texts {
    const { tokenizer, text } = this.#checkpoint;
    const { prompt, negativePrompt, steps, clipSkip, promptSyntax = "plain" } = request;
    checkSkip(clipSkip ?? 0, text.config);
    const tokens = Math.min(tokenizer.maxLength, text.config.maxPositionEmbeddings);
    const guided = scales.some((scale) => scale > 1);
    // The webui counts calls of the UNet: a step of two evaluations is two of them.
    const plan = planPrompt(prompt, negativePrompt, sampler.order * steps, tokenizer, {
      ...{ syntax: promptSyntax, tokens, evaluations: sampler.rows.length, guided },
    });
    const unknown = unknownWordsWarning(plan.pieces, this.#checkpoint.knownWords);
    const warnings = unknown === undefined ? plan.warnings : [...plan.warnings, unknown];
    if (this.#strict && warnings[0]) throw new DiffusionError("BAD_REQUEST", warnings[0]);
    return { ...plan, warnings, sizes: chunkSizes(plan), conditions: conditionWeights(plan) };
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

  /** What runs before the loop, on plans of its own that are freed again: the picture that a run starts from. */
  async #prepare(
    task: Task,
    given: Pick<Run, "request" | "resolved" | "latents">,
    streams: readonly Generator[],
    { initNoiseSigma, start }: Sampler,
    signal: AbortSignal,
  ): Promise<Start> {
    const checkpoint = this.#checkpoint;
    const { request, resolved, latents } = given;
    const setting = this.#setting(signal);
    await using encoder = pictureEncoder(setting, checkpoint, latents, resolved.vaeTiling);
    const size = [latents.height, latents.width] as const;
    let depth: ReturnType<typeof depthChannel> | undefined;
    const run = {
      ...{ ...given, initNoiseSigma, start, encode: encoder.encode },
      depth: (map: DepthMap | undefined) => {
        depth ??= depthChannel(setting, checkpoint.estimator, request.image!, map, size);
        return depth;
      },
      noising: (level: number) => noising(checkpoint.lowResScheduler, level),
    };
    return await startOf(task, run, streams);
  }

  #setting(signal: AbortSignal): Setting {
    return { device: this.#device, weights: this.#weights, dtype: this.dtype, signal };
  }

  /** Writes all that a run starts from, and submits what precedes the loop. */
  #start(
    plans: Plans,
    request: ResolvedRequest,
    sampler: Sampler,
    given: { sizes: RunSizes; scales: readonly number[]; texts: Texts; start: Start },
  ): void {
    const { config } = this.#checkpoint.unet;
    const { texts, start, sizes } = given;
    const { latents, repeats, stage } = sizes;
    const { conditions } = texts;
    // Off is off: a scale below 1 takes nothing from a single condition.
    const scales = conditions ? given.scales : given.scales.map((scale) => Math.max(1, scale));
    plans.prompt.write("ids", texts.ids);
    if (texts.shares) {
      plans.prompt.write("weights", texts.weights);
      plans.prompt.write("shares", texts.shares);
    }
    plans.times.write(
      "sinusoids",
      timestepEmbedding(
        sampler.rows.map(({ timestep }) => timestep),
        config,
      ),
    );
    if (start.label !== undefined) plans.times.write("label", [start.label]);
    const seeing = plans.tile ?? plans.step;
    if (start.beside) seeing.write("beside", besideOf(start.beside, latents, repeats));
    seeing.write("state", initialState(start.latents, latents, 1));
    const table = coefficientTable(sampler, scales);
    for (const plan of [seeing, plans.step]) plan.write("table", table);
    if (stage) plans.step.write("guidance", stageTable(request, scales, sampler, latents));
    if (conditions) plans.step.write("conditions", conditions);
    plans.prompt.run();
    plans.times.run();
  }

  /** The checkpoint and the adapter, as results name them. */
  get model(): ModelInfo {
    const { name, scheduler } = this.#checkpoint;
    const adapter = adapterName(this.#device.info);
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
    await this.#plans.destroy();
    await this.#weights.destroy();
    await this.#checkpoint[Symbol.asyncDispose]();
    if (this.#ownsDevice) this.#device.destroy();
  }
}

/** The tiles of a run; with a factor, as they lie in the picture. */
function gridOf(
  { tile, tileOverlap }: ResolvedRequest,
  latents: LatentShape,
  factor: number,
): TileGrid | undefined {
  return tile === undefined ? undefined : tileGrid(latents, tile, tileOverlap!, factor);
}

/** Where the noise comes from: one stream for all pictures, or one for each. */
function streamsOf({
  rng = "torch",
  seed,
  numImages,
  perImageSeeds,
}: ResolvedRequest): Generator[] {
  return perImageSeeds ? pictureGenerators(rng, seed, numImages) : [createGenerator(rng, seed)];
}

/** Before each evaluation: the halves' texts, where they are others than before. */
function selection(select: Plan, texts: Texts, batch: number): (row: number) => void {
  let shown = "";
  return (row) => {
    const rows = rowsAt(texts, row);
    if (shown === `${rows}`) return;
    shown = `${rows}`;
    select.write(
      "rows",
      rows.flatMap((encoding) => Array<number>(batch).fill(encoding)),
    );
    select.run();
  };
}
