/**
 * A symbolic tensor: the result of one op on other tensors. It owns nothing and computes nothing;
 * a graph is simply what can be reached from its outputs.
 */
import type { DType, StoredType } from "./dtype.ts";
import { shapeError } from "./errors.ts";
import { numel, type Shape } from "./shape.ts";

export interface Tensor {
  /** Increases in order of creation, which is also the order of execution. */
  readonly id: number;
  readonly op: string;
  readonly shape: Shape;
  readonly dtype: DType;
  readonly inputs: Inputs;
  readonly attrs: Attrs;
  /** Where in the model this is ("unet.down_blocks.0.resnets.1.conv1"), for profiles, traces and errors. */
  readonly label: string;
}

export type Inputs = Readonly<Record<string, Tensor>>;
export type Attrs = Readonly<Record<string, unknown>>;

let nextId = 0;
const scopes: string[] = [];

/** Makes the result of an op. Absent optional inputs are dropped. */
export function createTensor(
  op: string,
  shape: Shape,
  dtype: DType,
  inputs: Readonly<Record<string, Tensor | undefined | null>> = {},
  attrs: Attrs = {},
  label = scopes.at(-1) ?? "",
): Tensor {
  for (const size of shape) {
    if (!Number.isSafeInteger(size) || size < 1) {
      throw shapeError(
        op,
        `the result would be [${shape}]: every size must be a whole number of at least 1`,
      );
    }
  }
  const present = Object.entries(inputs).filter(
    (entry): entry is [string, Tensor] => entry[1] != null,
  );
  return {
    id: nextId++,
    op,
    shape: [...shape],
    dtype,
    inputs: Object.fromEntries(present),
    attrs,
    label,
  };
}

/** Names everything that `build` makes: nested scopes replace, they do not append. */
export function withScope<T>(path: string, build: () => T): T {
  scopes.push(path);
  try {
    return build();
  } finally {
    scopes.pop();
  }
}

/** Host data as a tensor. f16 takes ordinary numbers and rounds them. */
export function tensor(data: ArrayLike<number>, shape: Shape, dtype: DType = "f32"): Tensor {
  if (data.length !== numel(shape)) {
    throw shapeError("tensor", `[${shape}] wants ${numel(shape)} values, got ${data.length}`);
  }
  return createTensor("data", shape, dtype, {}, { data });
}

/** A tensor whose values are written before each run of the plan. */
export function input(name: string, shape: Shape, dtype: DType = "f32"): Tensor {
  return createTensor("input", shape, dtype, {}, { name }, name);
}

/** Where the bytes of a parameter come from: row-major, little-endian, no padding. */
export interface ParameterSource {
  readonly name: string;
  readonly type: StoredType;
  readonly shape: Shape;
  read(offset: number, length: number): Promise<Uint8Array>;
}

/** A weight of a checkpoint; uploaded once, when a plan that uses it is compiled. */
export function parameter(source: ParameterSource): Tensor {
  const dtype = source.type === "bf16" ? "f32" : source.type;
  return createTensor("parameter", source.shape, dtype, {}, { source }, source.name);
}

/** Rows from..to-1 (along axis 0) of a parameter; only their bytes are read. */
export function parameterRows(whole: Tensor, from: number, to: number): Tensor {
  const shape = whole.shape.with(0, to - from);
  const attrs = { ...whole.attrs, from: from + ((whole.attrs.from as number) ?? 0) };
  return createTensor("parameter", shape, whole.dtype, {}, attrs, `${whole.label}[${from}:${to}]`);
}

/** "unet.conv_in.weight is [320,4,3,3]": how errors speak of a tensor. */
export function describe(t: Tensor, fallback: string): string {
  const name = t.op === "parameter" || t.op === "input" ? t.label : fallback;
  return `${name} is [${t.shape}]`;
}
