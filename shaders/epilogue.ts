/** The parameters that `lib/epilogue.wgsl` takes, shared by gemm and conv2d. */
import type { Constants, Dims, OperandSpec } from "./kernel.ts";

export const ACTIVATIONS = ["none", "silu", "gelu", "gelu_tanh", "gelu_quick", "relu"] as const;
export type Activation = (typeof ACTIVATIONS)[number];

export interface Epilogue {
  readonly activation: Activation;
  /** Factor on the sum and its biases, in front of the activation. Default 1. */
  readonly scale?: number;
  /** Rows of the result that share one row of rowBias, and where that row's channels start (in vec4). */
  readonly rowsPerBias: number;
  readonly rowBiasPitch: number;
  readonly rowBiasOffset: number;
}

export const NO_EPILOGUE: Epilogue = {
  activation: "none",
  scale: 1,
  rowsPerBias: 1,
  rowBiasPitch: 0,
  rowBiasOffset: 0,
};

export const EPILOGUE_OPERANDS: readonly OperandSpec[] = [
  { name: "bias", access: "read", optional: true },
  { name: "rowBias", access: "read", optional: true },
  { name: "residual", access: "read", optional: true },
];

export const EPILOGUE_LIB = ["activation", "epilogue"];

export function epilogueConstants(p: Epilogue): Constants {
  return { ACTIVATION: ACTIVATIONS.indexOf(p.activation) };
}

/** `columns`: vec4s in a row of the result. */
export function epilogueDims(p: Epilogue, columns: number): Dims {
  return {
    ROWS_PER_BIAS: p.rowsPerBias,
    ROW_BIAS_PITCH: p.rowBiasPitch,
    ROW_BIAS_OFFSET: p.rowBiasOffset,
    SCALE: { f32: p.scale ?? 1 },
    PITCH: columns,
  };
}
