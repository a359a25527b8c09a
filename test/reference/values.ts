/** Dense float64 tensors on the host, row-major: what references compute with. */
import { numel, type Shape } from "../../engine/shape.ts";

export interface Values {
  readonly shape: Shape;
  readonly data: Float64Array;
}

export function values(data: ArrayLike<number>, shape: Shape): Values {
  return { shape, data: Float64Array.from(data) };
}

/** The tensor whose element at each index is `at(index)`. */
export function generate(shape: Shape, at: (index: readonly number[]) => number): Values {
  const data = new Float64Array(numel(shape));
  const index = new Array<number>(shape.length).fill(0);
  for (let i = 0; i < data.length; i++) {
    data[i] = at(index);
    advance(index, shape);
  }
  return { shape, data };
}

/** The next index in row-major order. */
function advance(index: number[], shape: Shape): void {
  for (let axis = shape.length - 1; axis >= 0; axis--) {
    index[axis]!++;
    if (index[axis]! < shape[axis]!) return;
    index[axis] = 0;
  }
}

export function get({ shape, data }: Values, index: readonly number[]): number {
  let offset = 0;
  for (let axis = 0; axis < shape.length; axis++) offset = offset * shape[axis]! + index[axis]!;
  return data[offset]!;
}
