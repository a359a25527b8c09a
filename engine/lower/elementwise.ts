/** Lowering of the ops that treat every element alike. */
import { type BinaryParams, binary as binaryKernel } from "../../shaders/binary.ts";
import { type UnaryKernelFunction, unary as unaryKernel } from "../../shaders/unary.ts";
import { channels, rows, type Shape } from "../shape.ts";
import type { Lowering } from "./lowering.ts";

const unary: Lowering = {
  emit(t, emitter) {
    const x = emitter.read(t.inputs.x!);
    const { fn, scalar = 0 } = t.attrs as { fn: UnaryKernelFunction; scalar?: number };
    const params = { rows: rows(t.shape), channels: channels(t.shape), fn, scalar };
    emitter.dispatch(unaryKernel, params, { x, y: emitter.write(t) }, t.label);
  },
};

const binary: Lowering = {
  emit(t, emitter) {
    const { a, b } = t.inputs;
    const rank = Math.max(1, t.shape.length);
    const params: BinaryParams = {
      fn: t.attrs.fn as BinaryParams["fn"],
      shape: withRank(t.shape, rank),
      a: withRank(a!.shape, rank),
      b: withRank(b!.shape, rank),
    };
    const operands = { a: emitter.read(a!), b: emitter.read(b!), y: emitter.write(t) };
    emitter.dispatch(binaryKernel, params, operands, t.label);
  },
};

/** The shape with ones in front, as broadcasting reads it. */
function withRank(shape: Shape, rank: number): number[] {
  return [...new Array<number>(rank - shape.length).fill(1), ...shape];
}

export const ELEMENTWISE = { unary, binary };
