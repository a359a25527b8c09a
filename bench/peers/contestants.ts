/** Who takes part. */

export interface Contestant {
  /** The module in `adapters/`. */
  readonly adapter: string;
  /** More switches for Node. */
  readonly node?: readonly string[];
  readonly note?: string;
}

/** The first is ours. */
export const CONTESTANTS: readonly Contestant[] = [
  { adapter: "ours" },
  // V8's optimising WebAssembly compiler takes minutes for its 24 MB.
  { adapter: "onnxruntime-web", node: ["--liftoff-only"] },
  { adapter: "tfjs" },
  { adapter: "jax-js" },
  { adapter: "onnxruntime-node", note: "copies operands and results in every run" },
];

/** Whole UNets: those that take what PyTorch exports. */
export const UNET_CONTESTANTS: readonly Contestant[] = [
  { adapter: "ours", note: "the plan of a step" },
  { adapter: "ours-whole", note: "text and time anew each time, as the others" },
  ...CONTESTANTS.filter(({ adapter }) => adapter.startsWith("onnxruntime")),
];
