import assert from "node:assert/strict";
import { DiffusionError } from "../../engine/errors.ts";
import { type Device, openDevice } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { GenerateRequest, LoadOptions, StepEvent } from "../../model/request.ts";
import { removeCopies } from "../support/checkpoint-copy.ts";
import { adapters, type OpenAdapter, settled } from "../support/devices.ts";
import { checkpointPath } from "../support/golden.ts";
import { distance, samples } from "../support/pictures.ts";

const FOLDER = checkpointPath("tiny-eps");

const REQUEST = { prompt: "a horse", steps: 3, seed: 1, scheduler: "euler" } as const;

const GREY = { width: 64, height: 64, data: new Uint8Array(64 * 64).fill(128) };

describe("the pipeline", () => {
  let adapter: OpenAdapter;
  let device: Device;
  before(async () => {
    adapter = (await adapters())[0]!;
    device = adapter.device;
  });
  afterEach(() => settled(device));
  after(removeCopies);

  const open = (options: LoadOptions = {}) =>
    StableDiffusion.fromPretrained(FOLDER, { device, dtype: "f32", ...options });

  describe("a run", () => {
    it("reads back once for each picture, and nothing in the loop", async () => {
      await using sd = await open();
      const readBacks = countReadBacks(device);
      const inLoop: number[] = [];
      const onStep = () => void inLoop.push(readBacks.count);
      await sd.generate({ ...REQUEST, onStep });
      assert.equal(readBacks.count, 1);
      await sd.generate({ ...REQUEST, onStep, numImages: 2 });
      assert.equal(readBacks.count, 3);
      await sd.generate({ ...REQUEST, onStep, output: "latent" });
      assert.equal(readBacks.count, 4);
      readBacks.stop();
      assert.deepEqual(inLoop, [0, 0, 0, 1, 1, 1, 3, 3, 3]);
    });

    it("says what it did: every step, the seed, the settings, the times", async () => {
      await using sd = await open();
      const events: StepEvent[] = [];
      const onStep = (event: StepEvent) => void events.push(event);
      const { prompt, steps } = REQUEST;
      const result = await sd.generate({ prompt, steps, onStep });
      // PNDM evaluates the UNet once more than it has steps.
      assert.deepEqual(
        events.map(({ step, steps }) => [step, steps]),
        [1, 2, 3, 4].map((step) => [step, 4]),
      );
      assert.equal(events.at(-1)!.etaMs, 0);
      assert.ok(Number.isSafeInteger(result.seed) && result.seed === result.request.seed);
      assert.equal(result.request.scheduler, "pndm");
      assert.deepEqual(Object.keys(result.timings), ["load", "encode", "steps", "decode"]);
      assert.equal(result.model.predictionType, "epsilon");
      assert.equal(result.model.dtype, "f32");
      const again = await sd.generate({ prompt, steps, seed: result.seed });
      assert.deepEqual(samples(again.images), samples(result.images));
    });

    it("takes sizes as they come, and holds no more memory for having painted others", async () => {
      await using sd = await open();
      const first = await sd.generate(REQUEST);
      const bytes = device.allocatedBytes;
      const wide = await sd.generate({ ...REQUEST, width: 96, numImages: 2, guidanceScale: 1 });
      assert.deepEqual(
        wide.images.map(({ width, height, data }) => [width, height, data.length]),
        [1, 2].map(() => [96, 64, 96 * 64 * 4]),
      );
      assert.deepEqual((await sd.generate(REQUEST)).images, first.images);
      assert.equal(device.allocatedBytes, bytes);
    });

    it("needs no more than WebGPU's default limits, and no feature", async () => {
      using minimal = await openDevice({ adapter: adapter.name, minimal: true });
      assert.ok(!minimal.gpu.features.has("shader-f16"));
      assert.equal(minimal.gpu.limits.maxStorageBufferBindingSize, 128 * 2 ** 20);
      await using sd = await open();
      const usual = samples((await sd.generate(REQUEST)).images);
      for (const [dtype, decibels] of [
        ["f32", 60],
        ["f16", 40],
      ] as const) {
        await using sd = await open({ device: minimal, dtype });
        const { psnr } = distance(samples((await sd.generate(REQUEST)).images), usual);
        assert.ok(psnr >= decibels, `${dtype}: ${psnr} dB`);
      }
    });

    it("works with a device of its own, and ends it", async () => {
      const sd = await StableDiffusion.fromPretrained(FOLDER);
      const { images } = await sd.generate({ ...REQUEST, steps: 1 });
      assert.equal(images.length, 1);
      await sd[Symbol.asyncDispose]();
    });
  });

  describe("a prompt that is too long", () => {
    const prompt = `${"red ".repeat(80)}zebra`;

    it("is cut, with a warning that names what is lost", async () => {
      await using sd = await open();
      const { warnings } = await sd.generate({ ...REQUEST, prompt });
      assert.equal(warnings.length, 1);
      assert.match(warnings[0]!, /longer than 77 tokens.*zebra"$/);
    });

    it("is BAD_REQUEST where warnings are errors", async () => {
      await using sd = await open({ strict: true });
      await rejects(sd.generate({ ...REQUEST, prompt }), "BAD_REQUEST", /zebra/);
    });
  });

  describe("a request that cannot be met", () => {
    for (const [name, change] of Object.entries({
      "a width of 65": { width: 65 },
      "no steps": { steps: 0 },
      "more steps than timesteps": { steps: 1001 },
      "an unknown scheduler": { scheduler: "magic" },
      "a guidance rescale of 2": { guidanceRescale: 2 },
      "a mask, which this checkpoint does not take": { mask: GREY, image: GREY },
      "a strength of less than a step": { image: GREY, strength: 0.1 },
      "no prompt": { prompt: undefined as unknown as string },
    } satisfies Record<string, Partial<GenerateRequest>>)) {
      it(`is BAD_REQUEST before any GPU work: ${name}`, async () => {
        await using sd = await open();
        const bytes = device.allocatedBytes;
        await rejects(sd.generate({ ...REQUEST, ...change }), "BAD_REQUEST");
        assert.equal(device.allocatedBytes, bytes);
      });
    }

    it("is BUSY while another runs, and that one goes on", async () => {
      await using sd = await open();
      const first = sd.generate(REQUEST);
      await rejects(sd.generate(REQUEST), "BUSY");
      await rejects(sd.tune(), "BUSY");
      assert.equal((await first).images.length, 1);
      assert.equal((await sd.generate(REQUEST)).images.length, 1);
    });

    it("is DISPOSED afterwards, however often one disposes", async () => {
      const bytes = device.allocatedBytes;
      const sd = await open();
      await sd.generate(REQUEST);
      await Promise.all([sd[Symbol.asyncDispose](), sd[Symbol.asyncDispose]()]);
      await sd[Symbol.asyncDispose]();
      await rejects(sd.generate(REQUEST), "DISPOSED");
      assert.equal(device.allocatedBytes, bytes);
    });
  });

  describe("an abort", () => {
    const reason = new DOMException("enough", "AbortError");

    it("before and during opening rejects with its reason", async () => {
      const aborted = AbortSignal.abort(reason);
      await assert.rejects(open({ signal: aborted }), (error) => error === reason);
      const controller = new AbortController();
      const opening = open({ signal: controller.signal });
      controller.abort(reason);
      await assert.rejects(opening, (error) => error === reason);
    });

    const moments: Record<string, (abort: () => void) => Moment> = {
      "before the start": (abort) => {
        abort();
        return {};
      },
      "as soon as it has begun": (abort) => {
        setImmediate(abort);
        return {};
      },
      "while weights are read": (abort) => ({ onProgress: (n) => n === 5 && abort() }),
      "in the first step": (abort) => ({ onStep: ({ step }) => step === 1 && abort() }),
      "in the last step": (abort) => ({ onStep: ({ step }) => step === 3 && abort() }),
      "while the picture is read back": (abort) => ({ onReadBack: abort }),
    };
    for (const [name, moment] of Object.entries(moments)) {
      it(`${name} rejects with its reason, and the pipeline goes on`, async () => {
        const bytes = device.allocatedBytes;
        const controller = new AbortController();
        const { onProgress, onStep, onReadBack } = moment(() => controller.abort(reason));
        let pieces = 0;
        {
          await using sd = await open({ onProgress: () => void onProgress?.(++pieces) });
          const readBacks = countReadBacks(device, onReadBack);
          const request = { ...REQUEST, signal: controller.signal };
          const run = sd.generate({ ...request, onStep: (event) => void onStep?.(event) });
          await assert.rejects(run, (error) => error === reason);
          readBacks.stop();
          // A weight may be made of several pieces; the one that was begun is finished.
          if (onProgress) assert.ok(pieces < 10, `${pieces} pieces were read`);
          assert.equal((await sd.generate(REQUEST)).images.length, 1);
        }
        assert.equal(device.allocatedBytes, bytes);
      });
    }
  });

  describe("a callback that throws", () => {
    const fault = new Error("from the callback");

    it("ends the run with its error, and the pipeline goes on", async () => {
      await using sd = await open();
      const { images } = await sd.generate(REQUEST);
      const onStep = () => {
        throw fault;
      };
      await assert.rejects(sd.generate({ ...REQUEST, onStep }), (error) => error === fault);
      assert.deepEqual((await sd.generate(REQUEST)).images, images);
    });

    it("while weights are read does too", async () => {
      let broken = true;
      await using sd = await open({
        onProgress() {
          if (broken) throw fault;
        },
      });
      await assert.rejects(sd.generate(REQUEST), (error) => error === fault);
      broken = false;
      assert.equal((await sd.generate(REQUEST)).images.length, 1);
    });
  });

  it("disposed of during a run rejects that with DISPOSED and frees everything", async () => {
    const bytes = device.allocatedBytes;
    const sd = await open();
    let disposal: PromiseLike<void> | undefined;
    const onStep = () => {
      disposal ??= sd[Symbol.asyncDispose]();
    };
    await rejects(sd.generate({ ...REQUEST, onStep }), "DISPOSED");
    await disposal;
    assert.equal(device.allocatedBytes, bytes);
  });

  describe("on a device that fails", () => {
    it("rejects with a code when the device goes away, and can be disposed of", async () => {
      const own = await openDevice({ adapter: adapter.name });
      const sd = await open({ device: own });
      const onStep = () => own.destroy();
      await rejects(sd.generate({ ...REQUEST, onStep }), "DISPOSED", /device is gone/);
      await rejects(sd.generate(REQUEST), "DISPOSED");
      await sd[Symbol.asyncDispose]();
      assert.equal(own.allocatedBytes, 0);
    });

    it("rejects with GPU_VALIDATION after a fault on the GPU, and goes on", async () => {
      await using sd = await open();
      const onStep = ({ step }: StepEvent) => {
        if (step === 1) breakRules(device);
      };
      await rejects(sd.generate({ ...REQUEST, onStep }), "GPU_VALIDATION", /does not fit/);
      assert.equal((await sd.generate(REQUEST)).images.length, 1);
    });

    it("rejects with GPU_OOM beyond its budget, and paints what fits", async () => {
      using tight = await openDevice({ adapter: adapter.name, memoryBudget: 8e6 });
      const sd = await open({ device: tight });
      const fit = await sd.generate(REQUEST);
      await rejects(sd.generate({ ...REQUEST, width: 512, height: 512 }), "GPU_OOM", /budget/);
      assert.deepEqual((await sd.generate(REQUEST)).images, fit.images);
      await sd[Symbol.asyncDispose]();
      assert.equal(tight.allocatedBytes, 0);
    });

    it("rejects with GPU_OOM where not even the weights fit, and leaks nothing", async () => {
      using tight = await openDevice({ adapter: adapter.name, memoryBudget: 2e5 });
      const sd = await open({ device: tight });
      await rejects(sd.generate(REQUEST), "GPU_OOM");
      await rejects(sd.generate(REQUEST), "GPU_OOM");
      await sd[Symbol.asyncDispose]();
      assert.equal(tight.allocatedBytes, 0);
    });

    it("paints the same where no binding holds the decoder's pictures, and rejects with LIMIT before the first step where none holds a weight", async () => {
      using small = await openDevice({ adapter: adapter.name, minimal: true });
      const options = { device: small, dtype: "f32" } as const;
      await using sd = await StableDiffusion.fromPretrained(checkpointPath("tiny-v"), options);
      const request = { ...REQUEST, steps: 1 };
      const { images } = await sd.generate(request);
      // All of the UNet fits into this, 96 x 96 pixels of 16 channels do not.
      Object.assign(small.target, { maxBindingSize: 250_000 });
      const inBands = await sd.generate({ ...request, output: "latent" });
      assert.deepEqual(inBands.latents!.shape, [1, 4, 12, 12]);
      const { psnr } = distance(samples((await sd.generate(request)).images), samples(images));
      assert.ok(psnr > 60, `${psnr} dB`);
      Object.assign(small.target, { maxBindingSize: 1000 });
      const onStep = () => assert.fail("a step was run");
      const other = { ...request, numImages: 2, onStep };
      await rejects(sd.generate(other), "LIMIT", /maxStorageBufferBindingSize/);
    });

    it("warns that halves are not computed with, or refuses where warnings are errors", async () => {
      using minimal = await openDevice({ adapter: adapter.name, minimal: true });
      await using sd = await open({ device: minimal, dtype: "f16" });
      assert.match(sd.warnings.join("\n"), /lacks shader-f16/);
      const strict = open({ device: minimal, dtype: "f16", strict: true });
      await rejects(strict, "FEATURE_MISSING", /shader-f16/);
      assert.equal((await sd.generate({ ...REQUEST, steps: 1 })).images.length, 1);
    });
  });
});

/** What a test does at a moment of a run. */
interface Moment {
  readonly onProgress?: (piece: number) => unknown;
  readonly onStep?: (event: StepEvent) => unknown;
  readonly onReadBack?: () => void;
}

async function rejects(work: Promise<unknown>, code: string, message = /./): Promise<void> {
  await assert.rejects(work, (error: unknown) => {
    assert.ok(error instanceof DiffusionError, String(error));
    assert.equal(error.code, code, error.message);
    assert.match(error.message, message);
    return true;
  });
}

/** Counts the buffers that are mapped from now on, until `stop`. */
function countReadBacks({ gpu }: Device, onReadBack?: () => void) {
  const { createBuffer } = gpu;
  const counter = { count: 0, stop: () => void Object.assign(gpu, { createBuffer }) };
  gpu.createBuffer = (descriptor) => {
    const buffer = createBuffer.call(gpu, descriptor);
    const { mapAsync } = buffer;
    buffer.mapAsync = (...args) => {
      counter.count++;
      onReadBack?.();
      return mapAsync.apply(buffer, args);
    };
    return buffer;
  };
  return counter;
}

/** A write over the end of a buffer, which nobody checks for. */
function breakRules({ gpu }: Device): void {
  const buffer = gpu.createBuffer({ size: 16, usage: GPUBufferUsage.COPY_DST });
  gpu.queue.writeBuffer(buffer, 0, new Uint8Array(64));
  buffer.destroy();
}
