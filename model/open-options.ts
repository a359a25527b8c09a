/** How a checkpoint is read where it does not say it itself, and how it is fetched. */
import type { ModelSource } from "./files/model-source.ts";
import type { HubEvent } from "./hub/events.ts";

export interface OpenOptions extends FetchOptions {
  /** What the UNet predicts, in place of what the checkpoint says: `eps` or `v`. */
  readonly prediction?: "eps" | "v" | undefined;
  /** For a single file of unusual size: a folder of configuration files as diffusers writes them. */
  readonly config?: ModelSource | undefined;
  /** `fp16` takes the files called `….fp16.safetensors` (default: the plain ones, else fp16's). */
  readonly variant?: string | undefined;
}

/** In browsers, where a name or an address is fetched; in Node `wgsl-diffusion download` does that. */
export interface FetchOptions {
  /** The hub's server, or a mirror of it (default https://huggingface.co). */
  readonly endpoint?: string | undefined;
  /** For models that are private; it goes to the endpoint only. */
  readonly token?: string | undefined;
  /** A branch, tag or commit of a model on the hub (default main). */
  readonly revision?: string | undefined;
  /**
   * Whether files are kept in the browser's storage, checked by hash (default), or each tensor is read
   * straight from the server each time (false).
   */
  readonly cache?: boolean | undefined;
  /** Progress in bytes with the time to go, pauses, waits for another page, warnings. */
  readonly onEvent?: ((event: HubEvent) => void) | undefined;
  /** Tries after the first without getting any further (default 5). */
  readonly retries?: number | undefined;
}
