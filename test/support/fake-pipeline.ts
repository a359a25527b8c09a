/** A pipeline without a model: gives a pattern after `steps` short waits, and obeys its signal. */
import { setTimeout as wait } from "node:timers/promises";
import {
  type CheckingPipeline,
  type GenerateRequest,
  type GenerateResult,
  type LoadOptions,
  type ResolvedRequest,
  type RgbaImage,
  validateRequest,
} from "../../model/request.ts";

/** What the fake was asked, for tests to look at. */
export interface FakeCalls {
  directory?: string;
  options?: LoadOptions;
  request?: GenerateRequest;
  /** Those of every picture, in the order in which they were painted. */
  readonly requests: GenerateRequest[];
  disposed: number;
}

export interface FakeOptions {
  readonly stepMs?: number;
  readonly warnings?: readonly string[];
  readonly fail?: Error;
}

export function fakePipeline({ stepMs = 0, warnings = [], fail }: FakeOptions = {}) {
  const calls: FakeCalls = { requests: [], disposed: 0 };
  const load = async (directory: string, options?: LoadOptions): Promise<CheckingPipeline> => {
    Object.assign(calls, { directory, options });
    options?.onProgress?.({ stage: "read", name: "unet", loaded: 5e6, total: 10e6 });
    const resolve = (request: GenerateRequest) =>
      validateRequest(request, { width: 64, height: 64, scheduler: "ddim" });
    return {
      check(request) {
        const resolved = resolve(request);
        return { request: resolved, evaluations: resolved.steps };
      },
      async generate(request) {
        calls.request = request;
        calls.requests.push(request);
        const resolved = resolve(request);
        for (let step = 1; step <= resolved.steps; step++) {
          if (stepMs > 0) await wait(stepMs);
          request.signal?.throwIfAborted();
          request.onStep?.(stepEvent(step, resolved.steps, stepMs));
        }
        if (fail) throw fail;
        return fakeResult(resolved, request.output === "latent", warnings);
      },
      async [Symbol.asyncDispose]() {
        calls.disposed++;
      },
    };
  };
  return { load, calls };
}

function stepEvent(step: number, steps: number, ms: number) {
  const each = ms || 10;
  return {
    ...{ step, steps, timestep: 1000 - step },
    ...{ elapsedMs: step * each, etaMs: (steps - step) * each },
  };
}

export function fakeResult(
  request: ResolvedRequest,
  latent = false,
  warnings: readonly string[] = [],
): GenerateResult {
  const { width, height, numImages, seed } = request;
  const shape = [numImages, 4, height / 8, width / 8];
  const latents = { shape, data: new Float32Array(shape.reduce((a, b) => a * b)).fill(0.5) };
  const images = Array.from({ length: numImages }, (_, i) => gradient(width, height, i));
  return {
    ...(latent ? { latents, images: [] } : { images }),
    ...{ seed, warnings, request },
    timings: { encode: 1, steps: 20, decode: 3 },
    model: { name: "fake", predictionType: "epsilon" },
  };
}

export function gradient(width: number, height: number, shift = 0): RgbaImage {
  const data = new Uint8ClampedArray(width * height * 4);
  for (let i = 0; i < width * height; i++)
    data.set(
      [i % 256, Math.floor(i / width) % 256, (Math.imul(i + shift, 0x9e3779b1) >>> 13) & 255, 255],
      4 * i,
    );
  return { width, height, data };
}
