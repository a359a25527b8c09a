/** When to try again, and after how long. */
import { TransientError } from "./faults.ts";

export interface RetryPolicy {
  /** Tries after the first without getting any further (default 5). */
  readonly retries?: number | undefined;
  /** The first pause; each further one is twice as long, up to 30 s (default 1000). */
  readonly baseDelayMs?: number | undefined;
  readonly signal?: AbortSignal | undefined;
  /** Told before each pause. */
  readonly onRetry?: ((event: RetryEvent) => void) | undefined;
}

export interface RetryEvent {
  readonly message: string;
  readonly waitMs: number;
}

export interface Retries {
  /** Waits, so that the caller may try again. Throws `error` where that is useless or was done enough. */
  pause(error: unknown): Promise<void>;
  /** Something was won: the count starts anew. */
  reset(): void;
}

const MAX_DELAY_MS = 30_000;
/** A server that wants more is as good as down. */
const MAX_RETRY_AFTER_MS = 300_000;

export function createRetries(policy: RetryPolicy): Retries {
  const { retries = 5, baseDelayMs = 1000, signal, onRetry } = policy;
  let failures = 0;
  return {
    async pause(error) {
      signal?.throwIfAborted();
      const asked = error instanceof TransientError ? (error.retryAfterMs ?? 0) : Infinity;
      if (failures++ >= retries || asked > MAX_RETRY_AFTER_MS) throw error;
      const waitMs = Math.max(asked, backoffMs(failures, baseDelayMs));
      onRetry?.({ message: (error as Error).message, waitMs });
      await sleep(waitMs, signal);
    },
    reset() {
      failures = 0;
    },
  };
}

/** Between half and all of base·2^(n-1): many who lost one server must not come back as one. */
export function backoffMs(failures: number, baseDelayMs: number, random = Math.random()): number {
  return Math.min(MAX_DELAY_MS, baseDelayMs * 2 ** (failures - 1)) * (0.5 + random / 2);
}

/** `Retry-After` in milliseconds: a number of seconds, or a date. Undefined where it is neither. */
export function retryAfterMs(header: string | null, now = Date.now()): number | undefined {
  if (header === null) return undefined;
  if (/^\s*\d+\s*$/.test(header)) return 1000 * Number(header);
  const date = Date.parse(header);
  return Number.isNaN(date) ? undefined : Math.max(0, date - now);
}

/** Rejects with the signal's reason as soon as it is aborted. */
export function sleep(ms: number, signal?: AbortSignal): Promise<void> {
  return new Promise((resolve, reject) => {
    if (signal?.aborted) return reject(signal.reason);
    const stop = () => {
      clearTimeout(timer);
      reject(signal?.reason);
    };
    const timer = setTimeout(() => {
      signal?.removeEventListener("abort", stop);
      resolve();
    }, ms);
    signal?.addEventListener("abort", stop, { once: true });
  });
}
