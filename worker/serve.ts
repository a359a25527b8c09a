/** The worker's side: one pipeline, and the calls of its page. */
import { DiffusionError } from "../engine/errors.ts";
import type { LoadOptions, ModelSource } from "../model/index.ts";
import type {
  GenerateRequest,
  ImagePipeline,
  ModelInfo,
  RequestDefaults,
} from "../model/request.ts";
import {
  type Callback,
  type CallName,
  type FromWorker,
  type LoadedInfo,
  type Port,
  plainError,
  type Results,
  type ToWorker,
  transferables,
} from "./protocol.ts";

/** What is served: `StableDiffusion`, or a test's fake. */
export interface Served extends ImagePipeline {
  readonly warnings: readonly string[];
  readonly dtype: "f16" | "f32";
  readonly defaults: RequestDefaults;
  readonly model: ModelInfo;
}

export type Load = (model: ModelSource, options: LoadOptions) => Promise<Served>;

/** After so many losses of the device in one run it is the picture's fault, or the driver's. */
const MAX_LOSSES = 2;

/** Answers the messages that come through `port`. */
export function serve(port: Port, load: Load): void {
  const aborts = new Map<number, AbortController>();
  const host = hostOf(load);
  const send = (message: FromWorker, value?: unknown) =>
    port.postMessage(message, transferables(value));
  const answer = async (message: Extract<ToWorker, { call: CallName }>) => {
    const { id, hears } = message;
    const abort = new AbortController();
    aborts.set(id, abort);
    const tell = (event: Callback) => (value: unknown) => send({ id, event, value }, value);
    const callbacks = Object.fromEntries(hears.map((event) => [event, tell(event)]));
    try {
      const result = await host[message.call](message.argument as never, {
        ...callbacks,
        signal: abort.signal,
      });
      send({ id, result }, result);
    } catch (error) {
      send({ id, error: plainError(error) });
    } finally {
      aborts.delete(id);
    }
  };
  port.addEventListener("message", ({ data }: MessageEvent<ToWorker>) => {
    if ("abort" in data) aborts.get(data.abort)?.abort();
    else void answer(data);
  });
}

type Heard = Partial<Record<Callback, (value: unknown) => void>> & { signal: AbortSignal };

type Host = {
  [Name in CallName]: (
    argument: Extract<ToWorker, { call: Name }>["argument"],
    heard: Heard,
  ) => Promise<Results[Name]>;
};

function hostOf(load: Load): Host {
  let pipeline: Served | undefined;
  let opened: { model: ModelSource; options: LoadOptions } | undefined;
  const open = async (signal: AbortSignal, heard: Partial<Heard> = {}): Promise<Served> => {
    if (!opened) throw new DiffusionError("DISPOSED", "no model is loaded");
    pipeline = await load(opened.model, { ...opened.options, ...heard, signal });
    return pipeline;
  };
  return {
    async load({ model, options }, heard) {
      await pipeline?.[Symbol.asyncDispose]();
      pipeline = undefined;
      opened = { model, options };
      return infoOf(await open(heard.signal, heard));
    },
    async generate(request, heard) {
      for (let losses = 0; ; ) {
        const current = pipeline ?? (await open(heard.signal));
        try {
          const result = await current.generate({ ...request, ...heard } as GenerateRequest);
          return plainResult(result);
        } catch (error) {
          if (!(error instanceof DiffusionError) || error.code !== "DEVICE_LOST") throw error;
          // A tab in the background loses its device now and then: the files are at hand, begin anew.
          pipeline = undefined;
          await Promise.resolve(current[Symbol.asyncDispose]()).catch(() => {});
          if (++losses >= MAX_LOSSES) throw error;
        }
      }
    },
    async dispose() {
      opened = undefined;
      await pipeline?.[Symbol.asyncDispose]();
      pipeline = undefined;
    },
  };
}

function infoOf({ warnings, dtype, defaults, model }: Served): LoadedInfo {
  return { warnings: [...warnings], dtype, defaults, model };
}

/** Pictures lose their class on the way. */
function plainResult(result: Results["generate"]): Results["generate"] {
  const images = result.images.map(({ width, height, data }) => ({ width, height, data }));
  return { ...result, images };
}
