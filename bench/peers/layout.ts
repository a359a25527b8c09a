/** Between our layout of pictures, channels last, and the one that others want. */

/** [H·W, C] to [C, H·W]. */
export function channelsFirst(data: Float32Array, channels: number): Float32Array {
  return transposed(data, data.length / channels, channels);
}

/** [C, H·W] to [H·W, C]. */
export function channelsLast(data: Float32Array, channels: number): Float32Array {
  return transposed(data, channels, data.length / channels);
}

/** [B, C, H, W] to [B, H, W, C], and back with `to: "first"`. */
export function pictures(
  data: Float32Array,
  [batch, channels]: readonly [batch: number, channels: number],
  to: "first" | "last",
): Float32Array {
  const each = data.length / batch;
  const out = new Float32Array(data.length);
  const moved = to === "first" ? channelsFirst : channelsLast;
  for (let b = 0; b < batch; b++) {
    out.set(moved(data.subarray(b * each, (b + 1) * each), channels), b * each);
  }
  return out;
}

/** [rows, columns] to [columns, rows]. */
export function transposed(data: Float32Array, rows: number, columns: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let r = 0; r < rows; r++) {
    for (let c = 0; c < columns; c++) out[c * rows + r] = data[r * columns + c]!;
  }
  return out;
}

/** PyTorch's weights of a convolution [O, I, 3, 3] as [3, 3, I, O]. */
export function tapsFirst(data: Float32Array, outputs: number, inputs: number): Float32Array {
  const out = new Float32Array(data.length);
  for (let o = 0; o < outputs; o++) {
    for (let i = 0; i < inputs; i++) {
      for (let tap = 0; tap < 9; tap++) {
        out[(tap * inputs + i) * outputs + o] = data[(o * inputs + i) * 9 + tap]!;
      }
    }
  }
  return out;
}
