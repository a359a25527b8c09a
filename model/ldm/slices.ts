/** Views of stored tensors: nothing is read or copied until they are. */
import { DiffusionError } from "../../engine/errors.ts";
import type { StoredTensor } from "../../engine/safetensors.ts";

/** Third `part` (0, 1, 2) of the rows: PyTorch's MultiheadAttention stores query, key and value so. */
export function third(tensor: StoredTensor, name: string, part: number): StoredTensor {
  const [rows = 0, ...rest] = tensor.shape;
  if (rows % 3 !== 0) {
    const message = `${tensor.name} has ${rows} rows; expected query, key and value: a multiple of 3`;
    throw new DiffusionError("WEIGHTS_MISMATCH", message);
  }
  const byteLength = tensor.byteLength / 3;
  return {
    name,
    dtype: tensor.dtype,
    shape: [rows / 3, ...rest],
    byteLength,
    read(offset, length) {
      if (!(offset >= 0 && length >= 0 && offset + length <= byteLength)) {
        const message = `${name}: read [${offset}, ${offset + length}) of ${byteLength} bytes`;
        return Promise.reject(new DiffusionError("INTERNAL", message));
      }
      return tensor.read(part * byteLength + offset, length);
    },
  };
}

/** A 1×1 convolution [out, in, 1, 1] as the dense layer that it is: [out, in]. Others stay. */
export function asDense(tensor: StoredTensor): StoredTensor {
  const [out, input, height, width] = tensor.shape;
  const isPoint = tensor.shape.length === 4 && height === 1 && width === 1;
  return isPoint ? { ...tensor, shape: [out!, input!] } : tensor;
}
