/** Lowering of the caller's own kernels: one dispatch. */
import type { AnyKernel } from "../../shaders/kernel.ts";
import { mapValues } from "../graph.ts";
import type { Lowering } from "./lowering.ts";

const custom: Lowering = {
  emit(t, emitter) {
    const { kernel, params } = t.attrs as { kernel: AnyKernel; params: unknown };
    const operands = mapValues(t.inputs, (x) => emitter.read(x));
    emitter.dispatch(kernel, params, { ...operands, y: emitter.write(t) }, t.label || kernel.name);
  },
};

export const CUSTOM = { custom };
