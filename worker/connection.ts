/** The page's side of the messages. */
import { DiffusionError } from "../engine/errors.ts";
import type { LoadOptions, ModelSource } from "../model/index.ts";
import type { GenerateRequest, GenerateResult } from "../model/request.ts";
import {
  CALLBACKS,
  type Callback,
  type CallName,
  errorOf,
  type FromWorker,
  type LoadedInfo,
  type Port,
  type Remote,
  type Results,
} from "./protocol.ts";

export interface Connection {
  load(model: ModelSource, options: Omit<LoadOptions, "device">): Promise<LoadedInfo>;
  generate(request: GenerateRequest): Promise<GenerateResult>;
  dispose(): Promise<void>;
  /** Ends the worker; what is under way is rejected. */
  end(): void;
}

interface Call {
  readonly heard: Partial<Record<Callback, ((value: never) => void) | undefined>>;
  resolve(result: unknown): void;
  reject(error: unknown): void;
  /** Ends the call in the worker; then it is rejected with this. */
  abort(reason: unknown): void;
}

type Heard = Call["heard"] & { readonly signal?: AbortSignal | undefined };

/** Speaks with a worker that runs `serve`. */
export function connect(worker: Port & Partial<Pick<Worker, "terminate">>): Connection {
  const calls = new Map<number, Call>();
  let ended: DiffusionError | undefined;
  let last = 0;
  const end = (error: DiffusionError) => {
    ended ??= error;
    for (const { reject } of calls.values()) reject(ended);
    worker.terminate?.();
  };
  worker.addEventListener("message", ({ data }: MessageEvent<FromWorker>) => {
    const call = calls.get(data.id);
    if (call) receive(call, data);
  });
  // Its memory ran out, its script is not there, or is no script of ours.
  (worker as EventTarget & Port).addEventListener("error", (event) => {
    const why =
      (event as ErrorEvent).message || "its script does not load, or it ran out of memory";
    end(new DiffusionError("INTERNAL", `the worker stopped: ${why}`));
  });
  const call = async <Name extends CallName>(
    name: Name,
    argument: unknown,
    { signal, ...heard }: Heard = {},
  ): Promise<Results[Name]> => {
    signal?.throwIfAborted();
    if (ended) throw ended;
    const id = ++last;
    let aborted: { reason: unknown } | undefined;
    const abort = (reason: unknown) => {
      aborted ??= { reason };
      worker.postMessage({ abort: id }, []);
    };
    const stop = () => abort(signal?.reason);
    signal?.addEventListener("abort", stop, { once: true });
    const hears = CALLBACKS.filter((event) => heard[event]);
    try {
      return await new Promise((resolve, fail) => {
        const reject = (error: unknown) => fail(aborted ? aborted.reason : error);
        calls.set(id, {
          heard,
          resolve: (result) => resolve(result as Results[Name]),
          reject,
          abort,
        });
        worker.postMessage({ id, call: name, argument, hears }, []);
      });
    } finally {
      signal?.removeEventListener("abort", stop);
      calls.delete(id);
    }
  };
  return {
    load: (model, options) => call("load", { model, options: remote(options) }, options as Heard),
    generate: (request) => call("generate", remote(request), request as Heard),
    async dispose() {
      const disposed = new DiffusionError("DISPOSED", "this pipeline was disposed of");
      for (const each of calls.values()) each.abort(disposed);
      if (!ended) await call("dispose", undefined);
    },
    end: () => end(new DiffusionError("DISPOSED", "the worker was ended")),
  };
}

function receive(call: Call, message: FromWorker): void {
  if ("result" in message) call.resolve(message.result);
  else if ("error" in message) call.reject(errorOf(message.error));
  else tell(call, message.event, message.value);
}

/** As without a worker, a callback that throws ends the run. */
function tell(call: Call, event: Callback, value: unknown): void {
  try {
    call.heard[event]?.(value as never);
  } catch (error) {
    call.abort(error);
  }
}

/** What can be cloned. */
function remote<T extends object>(options: T): Remote<T> {
  const kept = Object.entries(options).filter(
    ([name, value]) => name !== "signal" && value !== undefined && !isCallback(name),
  );
  return Object.fromEntries(kept) as Remote<T>;
}

function isCallback(name: string): boolean {
  return (CALLBACKS as readonly string[]).includes(name);
}
