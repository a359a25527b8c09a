/**
 * Every fault that a caller can act on: a stable `code`, a message that says what, where, what was
 * found and what was expected, and a `hint` that says how to mend it.
 */
export class DiffusionError extends Error {
  readonly code: ErrorCode;
  readonly hint: string | undefined;

  constructor(code: ErrorCode, message: string, options: { hint?: string; cause?: unknown } = {}) {
    super(message, options.cause === undefined ? {} : { cause: options.cause });
    this.name = "DiffusionError";
    this.code = code;
    this.hint = options.hint;
  }
}

export type ErrorCode = keyof typeof EXIT_STATUS;

/** The exit status of the command line for each code: 1 run time, 2 input, 3 GPU, 4 weights, 5 network. */
export const EXIT_STATUS = {
  SHAPE: 1,
  GPU_VALIDATION: 1,
  GPU_OOM: 1,
  DEVICE_LOST: 1,
  NUMERIC: 1,
  DISPOSED: 1,
  BUSY: 1,
  INTERNAL: 1,
  OUTPUT: 1,
  DISK_FULL: 1,
  PYTHON_FAILED: 1,
  BAD_REQUEST: 2,
  PATH: 2,
  IMAGE_MISSING: 2,
  IMAGE_FORMAT: 2,
  IMAGE_TRUNCATED: 2,
  IMAGE_CORRUPT: 2,
  IMAGE_SIZE: 2,
  NO_PYTHON: 2,
  PYTHON_PACKAGE: 2,
  NO_WEBGPU: 3,
  NO_ADAPTER: 3,
  NATIVE_LOAD: 3,
  LIMIT: 3,
  FEATURE_MISSING: 3,
  WEIGHTS_HEADER: 4,
  WEIGHTS_LAYOUT: 4,
  WEIGHTS_TRUNCATED: 4,
  WEIGHTS_DTYPE: 4,
  WEIGHTS_MISMATCH: 4,
  WEIGHTS_MISSING: 4,
  WEIGHTS_FORMAT: 4,
  WEIGHTS_SHARD: 4,
  WEIGHTS_HASH: 4,
  TOKENIZER: 4,
  SCHEDULER: 4,
  CONFIG: 4,
  HUB_404: 5,
  NETWORK: 5,
} as const;

/** A shape or dtype that an op cannot take; thrown while the graph is built, before any GPU work. */
export function shapeError(op: string, message: string, hint?: string): DiffusionError {
  return new DiffusionError("SHAPE", `${op}: ${message}`, hint === undefined ? {} : { hint });
}
