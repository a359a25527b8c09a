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
  /** What was done without, and why. */
  let notes: string[] = [];
  const open = async (signal: AbortSignal, heard: Partial<Heard> = {}): Promise<Served> => {
    if (!opened) throw new DiffusionError("DISPOSED", "no model is loaded");
    pipeline = await load(opened.model, { ...opened.options, ...heard, signal });
    return pipeline;
  };
  const close = async () => {
    const before = pipeline;
    pipeline = undefined;
    await before?.[Symbol.asyncDispose]();
  };
  /** True if it is worth another try, for which everything is ready. */
  const recover = async (error: unknown, losses: number): Promise<boolean> => {
    if (!(error instanceof DiffusionError) || !opened) return false;
    if (error.code === "DEVICE_LOST") {
      // A tab in the background loses its device now and then: the files are at hand, begin anew.
      await close().catch(() => {});
      return losses < MAX_LOSSES;
    }
    if (error.code !== "GPU_VALIDATION" || opened.options.minimal || opened.options.strict)
      return false;
    // A browser may offer a feature, and fail at a shader that uses it.
    opened = { ...opened, options: { ...opened.options, minimal: true } };
    notes = [`without the adapter's optional features, for with them: ${error.message}`];
    await close().catch(() => {});
    return true;
  };
  const persist = async <T>(work: () => Promise<T>): Promise<T> => {
    for (let losses = 1; ; losses++) {
      try {
        return await work();
      } catch (error) {
        if (!(await recover(error, losses))) throw error;
      }
    }
  };
  return {
    async load({ model, options }, heard) {
      await close();
      opened = { model, options };
      notes = [];
      return infoOf(await persist(() => open(heard.signal, heard)), notes);
    },
    async generate(request, heard) {
      const result = await persist(async () =>
        (pipeline ?? (await open(heard.signal))).generate({
          ...request,
          ...heard,
        } as GenerateRequest),
      );
      return plainResult(result, notes);
    },
    async dispose() {
      opened = undefined;
      await close();
    },
  };
}

function infoOf(
  { warnings, dtype, defaults, model }: Served,
  notes: readonly string[],
): LoadedInfo {
  return { warnings: [...warnings, ...notes], dtype, defaults, model };
}

/** Pictures lose their class on the way. */
function plainResult(result: Results["generate"], notes: readonly string[]): Results["generate"] {
  const images = result.images.map(({ width, height, data }) => ({ width, height, data }));
  return { ...result, images, warnings: [...result.warnings, ...notes] };
}
