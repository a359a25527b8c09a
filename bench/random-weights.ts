/** Weights for a network whose time is wanted and whose result is not: small numbers of both signs, from no file. */
import type { StoredTensor } from "../engine/safetensors.ts";

type Tensors = ReadonlyMap<string, StoredTensor>;

/** Tensors of these shapes in f32, of about the size that keeps activations near 1. */
export function randomWeights(shapes: ReadonlyMap<string, readonly number[]>): Tensors {
  return new Map([...shapes].map(([name, shape]) => [name, tensor(name, shape)]));
}

function tensor(name: string, shape: readonly number[]): StoredTensor {
  const count = shape.reduce((product, n) => product * n, 1);
  const scale = Math.sqrt((3 * shape[0]!) / count);
  return {
    ...{ name, dtype: "F32", shape, byteLength: 4 * count },
    async read(offset, length) {
      const values = new Float32Array(Math.ceil(length / 4));
      for (let i = 0; i < values.length; i++) values[i] = scale * even(offset / 4 + i);
      return new Uint8Array(values.buffer, 0, length);
    },
  };
}

/** A number in -1..1 for each index: Knuth's multiplicative hash. */
function even(index: number): number {
  return Math.imul(index + 1, 0x9e3779b1) / 2 ** 31;
}
