/** How a checkpoint is read where it does not say it itself. */
export interface OpenOptions {
  /** What the UNet predicts, in place of what the checkpoint says: `eps` or `v`. */
  readonly prediction?: "eps" | "v" | undefined;
  /** For a single file of unusual size: a folder of configuration files as diffusers writes them. */
  readonly config?: string | undefined;
}
