/** A random operand twice: as the tensor that a kernel reads, and as the very same values on the host. */
import type { DType, StoredType } from "../../engine/dtype.ts";
import { encodeHalf } from "../../engine/dtype.ts";
import { numel, type Shape } from "../../engine/shape.ts";
import { parameter, type Tensor, tensor } from "../../engine/tensor.ts";
import { type Values, values } from "../reference/values.ts";
import { rounded } from "./close.ts";
import type { Random } from "./random.ts";

export interface Operand {
  readonly t: Tensor;
  readonly v: Values;
}

export function operand(data: ArrayLike<number>, shape: Shape, dtype: DType = "f32"): Operand {
  const held = dtype === "i32" ? data : rounded(data, dtype);
  return { t: tensor(held, shape, dtype), v: values(held, shape) };
}

export function normalOperand(random: Random, shape: Shape, dtype: DType, deviation = 1): Operand {
  return operand(random.normals(numel(shape), deviation), shape, dtype);
}

/** A weight as a file in memory would give it. */
export function parameterOperand(
  data: Float32Array,
  shape: Shape,
  type: StoredType,
  name = "model.weight",
): Operand & { readonly reads: [offset: number, length: number][] } {
  const { bytes, held } = stored(data, type);
  const reads: [number, number][] = [];
  const read = async (offset: number, length: number) => {
    reads.push([offset, length]);
    return bytes.slice(offset, offset + length);
  };
  return { t: parameter({ name, type, shape, read }), v: values(held, shape), reads };
}

function stored(data: Float32Array, type: StoredType): { bytes: Uint8Array; held: Float32Array } {
  const bytesOf = ({ buffer }: { buffer: ArrayBufferLike }) => new Uint8Array(buffer);
  if (type === "f16") return { bytes: bytesOf(encodeHalf(data)), held: rounded(data, "f16") };
  if (type === "f32") return { bytes: bytesOf(data.slice()), held: data };
  // bf16 is the upper half of an f32; cut off is good enough for a test.
  const words = new Uint32Array(data.slice().buffer).map((word) => word & 0xffff0000);
  const halves = Uint16Array.from(words, (word) => word >>> 16);
  return { bytes: bytesOf(halves), held: new Float32Array(words.buffer) };
}
