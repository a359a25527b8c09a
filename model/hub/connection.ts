/**
 * One request to the hub: redirects are followed by hand, so that the token goes to the hub's own
 * origin only, and a server that falls silent is given up.
 */
import { DiffusionError } from "../../engine/errors.ts";
import { type Asked, refused, TransientError, unreachable } from "./faults.ts";
import { type RetryPolicy, retryAfterMs } from "./retry.ts";

export interface HubConnection extends RetryPolicy {
  /** "https://huggingface.co", without a slash at the end. */
  readonly endpoint: string;
  readonly token?: string | undefined;
  /** The longest silence, before and within an answer (default 30 s). */
  readonly stallMs?: number | undefined;
  readonly fetch?: typeof globalThis.fetch | undefined;
  /**
   * A browser asks: it follows redirects by itself and takes the token off at another origin, and only
   * plain headers pass to another origin without asking that one first.
   */
  readonly browser?: boolean | undefined;
}

/** An answer whose status is 2xx or 416. */
export interface Answer {
  readonly status: number;
  readonly headers: Headers;
  /** The address that answered in the end. */
  readonly url: string;
  /** The body, piece by piece. Ends early, or throws TransientError, if the connection breaks. */
  body(): AsyncGenerator<Uint8Array, void, void>;
  /** Ends the request without reading the body. */
  cancel(): Promise<void>;
}

const MAX_REDIRECTS = 10;

/**
 * Asks for `url`. Throws HUB_404, NETWORK (as TransientError where another try may help), and the
 * signal's reason.
 */
export async function open(
  url: string,
  headers: Readonly<Record<string, string>>,
  hub: HubConnection,
  asked: Asked,
): Promise<Answer> {
  const watch = watchdog(hub);
  try {
    const { response, finalUrl, withToken } = await follow(url, headers, hub, watch);
    if (!response.ok && response.status !== 416) {
      await discard(response);
      throw statusError(response, new URL(finalUrl).host, withToken, asked);
    }
    return answer(response, finalUrl, watch);
  } catch (error) {
    watch.stop();
    throw watch.explain(error, new URL(url).host);
  }
}

async function follow(
  first: string,
  headers: Readonly<Record<string, string>>,
  hub: HubConnection,
  watch: Watchdog,
): Promise<{ response: Response; finalUrl: string; withToken: boolean }> {
  const get = hub.fetch ?? globalThis.fetch;
  let url = first;
  for (let i = 0; i <= MAX_REDIRECTS; i++) {
    const withToken = hub.token !== undefined && sameOrigin(url, hub.endpoint);
    const response = await get(url, {
      // Ranges count bytes of the file itself, not of a compressed form.
      headers: {
        // A browser sets this one itself where a range is asked for, and lets nobody else do it.
        ...(hub.browser ? headers : { "accept-encoding": "identity", ...headers }),
        ...(withToken ? { authorization: `Bearer ${hub.token}` } : {}),
      },
      redirect: hub.browser ? "follow" : "manual",
      signal: watch.signal,
    });
    watch.heard();
    if (hub.browser) return { response, finalUrl: response.url || url, withToken };
    const location = response.headers.get("location");
    if (response.status < 300 || response.status > 399 || location === null)
      return { response, finalUrl: url, withToken };
    await discard(response);
    url = redirected(location, url);
  }
  throw network(`${new URL(first).host} redirects in circles`);
}

function redirected(location: string, from: string): string {
  const host = new URL(from).host;
  if (!URL.canParse(location, from)) throw network(`${host} redirects to nowhere`);
  const url = new URL(location, from);
  if (!/^https?:$/.test(url.protocol)) throw network(`${host} redirects to ${url.protocol}`);
  return url.href;
}

export function sameOrigin(a: string, b: string): boolean {
  return URL.canParse(a) && URL.canParse(b) && new URL(a).origin === new URL(b).origin;
}

/** 408, 429 and 5xx pass; the others are final. */
function statusError(response: Response, host: string, withToken: boolean, asked: Asked): Error {
  const { status, headers } = response;
  const wait = retryAfterMs(headers.get("retry-after"));
  if (status === 408 || status === 429 || status >= 500)
    return new TransientError(
      `${host} answers with status ${status}${status === 429 ? " (too many requests)" : ""}`,
      {
        hint: "Try again later; what was received is kept.",
        ...(wait === undefined ? {} : { retryAfterMs: wait }),
      },
    );
  const reason = headers.get("x-error-code") ?? undefined;
  return refused(asked, { status, reason, withToken, host });
}

function answer(response: Response, url: string, watch: Watchdog): Answer {
  watch.stop();
  return {
    status: response.status,
    headers: response.headers,
    url,
    async *body() {
      const reader = response.body?.getReader();
      try {
        for (;;) {
          watch.start();
          const chunk = await reader?.read();
          watch.stop();
          if (!chunk || chunk.done) return;
          yield chunk.value;
        }
      } catch (error) {
        throw watch.explain(error, new URL(url).host);
      } finally {
        watch.stop();
        // A connection that broke refuses this too.
        await reader?.cancel().catch(() => {});
      }
    },
    async cancel() {
      watch.stop();
      await discard(response);
    },
  };
}

async function discard(response: Response): Promise<void> {
  await response.body?.cancel().catch(() => {});
}

interface Watchdog {
  readonly signal: AbortSignal;
  /** Waits for the server from now on. */
  start(): void;
  stop(): void;
  heard(): void;
  /** The error that a user should see for what `fetch` threw. */
  explain(error: unknown, host: string): unknown;
}

/** Aborts where the server says nothing for too long. Time in which we do not wait for it is not counted. */
function watchdog({ stallMs = 30_000, signal, browser }: HubConnection): Watchdog {
  signal?.throwIfAborted();
  const stalled = new AbortController();
  let timer: ReturnType<typeof setTimeout> | undefined;
  const stop = () => clearTimeout(timer);
  const start = () => {
    stop();
    timer = setTimeout(() => stalled.abort(), stallMs);
  };
  start();
  return {
    signal: signal ? AbortSignal.any([signal, stalled.signal]) : stalled.signal,
    start,
    stop,
    heard: start,
    explain(error, host) {
      if (signal?.aborted) return signal.reason;
      if (error instanceof DiffusionError) return error;
      if (!stalled.signal.aborted) return unreachable(host, error, browser);
      const seconds = Math.max(1, Math.round(stallMs / 1000));
      return new TransientError(`${host}: not a byte came for ${seconds} s`, {
        hint: "Check the connection; what was received is kept.",
      });
    },
  };
}

function network(message: string): DiffusionError {
  return new DiffusionError("NETWORK", message, {
    hint: "Is the endpoint (--endpoint or HF_ENDPOINT) that of a hub?",
  });
}
