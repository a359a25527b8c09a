/** What page and worker say to each other. Everything can be cloned; pictures are handed over, not copied. */
import { DiffusionError, type ErrorCode } from "../engine/errors.ts";
import type { LoadOptions, ModelSource } from "../model/index.ts";
import type {
  GenerateRequest,
  GenerateResult,
  ModelInfo,
  RequestDefaults,
} from "../model/request.ts";

/** Callbacks and signals stay at home; their names travel, so that only what is heard is sent. */
export type Remote<T> = Omit<T, "signal" | "device" | Callback>;
export type Callback = "onProgress" | "onEvent" | "onStep" | "onPreview";
export const CALLBACKS: readonly Callback[] = ["onProgress", "onEvent", "onStep", "onPreview"];

export interface LoadedInfo {
  readonly warnings: readonly string[];
  readonly dtype: "f16" | "f32";
  readonly defaults: RequestDefaults;
  readonly model: ModelInfo;
}

interface Calls {
  readonly load: { readonly model: ModelSource; readonly options: Remote<LoadOptions> };
  readonly generate: Remote<GenerateRequest>;
  readonly dispose: undefined;
}

export interface Results {
  readonly load: LoadedInfo;
  readonly generate: GenerateResult;
  readonly dispose: undefined;
}

export type CallName = keyof Calls;

/** From the page. */
export type ToWorker =
  | {
      [Name in CallName]: {
        readonly id: number;
        readonly call: Name;
        readonly argument: Calls[Name];
        readonly hears: readonly Callback[];
      };
    }[CallName]
  | { readonly abort: number };

/** From the worker, of the call `id`. */
export type FromWorker =
  | { readonly id: number; readonly event: Callback; readonly value: unknown }
  | { readonly id: number; readonly result: unknown }
  | { readonly id: number; readonly error: PlainError };

export interface PlainError {
  readonly name: string;
  readonly message: string;
  readonly code?: ErrorCode;
  readonly hint?: string;
  readonly stack?: string;
}

export function plainError(error: unknown): PlainError {
  if (!(error instanceof Error)) return { name: "Error", message: String(error) };
  const { name, message, stack } = error;
  const plain = { name, message, ...(stack !== undefined && { stack }) };
  if (!(error instanceof DiffusionError)) return plain;
  const { code, hint } = error;
  return { ...plain, code, ...(hint !== undefined && { hint }) };
}

/** The same class and code as in the worker; its stack is that of the worker. */
export function errorOf({ name, message, code, hint, stack }: PlainError): Error {
  const error = code
    ? new DiffusionError(code, message, hint === undefined ? {} : { hint })
    : name === "AbortError"
      ? new DOMException(message, name)
      : Object.assign(new Error(message), { name });
  if (code && stack !== undefined) error.stack = stack;
  return error;
}

/** The buffers in an event or result that can be handed over. */
export function transferables(value: unknown): ArrayBuffer[] {
  const { image, images, latents } = Object(value);
  const arrays = [image?.data, latents?.data, ...(images ?? []).map((each: RgbaLike) => each.data)];
  const buffers = arrays.filter(ArrayBuffer.isView).map(({ buffer }) => buffer as ArrayBuffer);
  return [...new Set(buffers)];
}

interface RgbaLike {
  readonly data: Uint8ClampedArray;
}

/** `Worker`, `MessagePort`, or what a worker sees of itself. */
export interface Port {
  postMessage(message: unknown, transfer: Transferable[]): void;
  addEventListener(type: "message", listener: (event: MessageEvent) => void): void;
}
