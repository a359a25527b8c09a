/**
 * A graph as a list of dispatches on storages: everything that can be known without a GPU.
 * Lowering runs in passes: fuse, bands (pictures that no binding holds), rewrite (ops into ops that have
 * kernels), set constants apart (what depends on parameters alone is computed once, when weights are loaded),
 * emit (ops into dispatches).
 */
import { reshape as reshapeKernel } from "../shaders/reshape.ts";
import { inBands } from "./bands.ts";
import type { DType, StoredType } from "./dtype.ts";
import { DiffusionError } from "./errors.ts";
import { fuse } from "./fuse.ts";
import { mapValues, type Outputs, reachable, standIn, withInputs } from "./graph.ts";
import { LOWERINGS } from "./lower/index.ts";
import type { Dispatch, Emitter, RowMoments, Storage, Target, View } from "./lower/lowering.ts";
import {
  channels,
  denseStrides,
  numel,
  pitch,
  rows,
  type Shape,
  strides,
  vectors,
} from "./shape.ts";
import type { ParameterSource, Tensor } from "./tensor.ts";

export interface Program {
  readonly dispatches: readonly Dispatch[];
  readonly storages: readonly Storage[];
  readonly inputs: Readonly<Record<string, Place>>;
  readonly outputs: Readonly<Record<string, Place>>;
}

/** A tensor with its storage. */
export interface Place {
  readonly storage: Storage;
  readonly shape: Shape;
  readonly dtype: DType;
}

export interface LowerOptions {
  /** Apply the fusion rules (default). Without them the result must be the same. */
  readonly fuse?: boolean;
  /** Pictures of more bytes are computed in bands of rows (see bands.ts). Default: what one binding holds. */
  readonly bandBytes?: number;
}

/** The dispatches for `outputs` on a device like `target`. Throws INTERNAL for an op without lowering. */
export function lower(outputs: Outputs, target: Target, options: LowerOptions = {}): Program {
  const fused = options.fuse === false ? outputs : fuse(outputs);
  const fitting = Math.min(target.maxBindingSize, target.maxBufferSize);
  const legal = rewrite(inBands(fused, options.bandBytes ?? fitting), target);
  return new Builder(target, constants(legal)).build(legal);
}

/** The dispatches that compute one weight of a program from the parameters in the file. */
export function lowerWeight(weight: Tensor, target: Target): Program {
  return new Builder(target, new Set()).build({ weight });
}

/** Applies rewrites until none does; new tensors are rewritten in their turn. */
function rewrite(outputs: Outputs, target: Target): Outputs {
  const done = new Map<Tensor, Tensor>();
  const others = new Map<Tensor, Tensor | undefined>();
  /** What t becomes, or what has to be rewritten before that is known. */
  const visit = (t: Tensor): Tensor | readonly Tensor[] => {
    const waiting = Object.values(t.inputs).filter((input) => !done.has(input));
    if (waiting.length > 0) return waiting;
    const inputs = mapValues(t.inputs, (input) => done.get(input)!);
    const changed = Object.keys(inputs).some((name) => inputs[name] !== t.inputs[name]);
    const rebuilt = changed ? withInputs(t, inputs) : t;
    if (!others.has(t)) others.set(t, LOWERINGS[t.op]?.rewrite?.(rebuilt, target));
    const other = others.get(t);
    if (!other) return rebuilt;
    return done.has(other) ? standIn(done.get(other)!, t) : [other];
  };
  // A stack of our own: attention over many pixels becomes chains of thousands of tensors.
  const stack = reachable(outputs).reverse();
  for (let t = stack.pop(); t; t = stack.pop()) {
    if (done.has(t)) continue;
    const result = visit(t);
    if (Array.isArray(result)) {
      stack.push(t, ...result);
    } else {
      done.set(t, result as Tensor);
      done.set(result as Tensor, result as Tensor);
    }
  }
  return mapValues(outputs, (t) => done.get(t)!);
}

/** The tensors that depend on parameters alone. Rewriting may have put a tensor's turn before that of its inputs. */
function constants(outputs: Outputs): Set<Tensor> {
  const known = new Map<Tensor, boolean>();
  const visit = (t: Tensor): boolean => {
    const seen = known.get(t);
    if (seen !== undefined) return seen;
    const inputs = Object.values(t.inputs).map(visit);
    const constant = t.op === "parameter" || (inputs.length > 0 && inputs.every(Boolean));
    known.set(t, constant);
    return constant;
  };
  return new Set(reachable(outputs).filter(visit));
}

/** A parameter whose rows need no padding serves as it lies in the file, in the file's type. */
function usedAsStored(t: Tensor): boolean {
  return t.op === "parameter" && (channels(t.shape) % 4 === 0 || rows(t.shape) === 1);
}

function weightType(t: Tensor): StoredType {
  return usedAsStored(t) ? (t.attrs.source as ParameterSource).type : t.dtype;
}

const LEAVES = new Set(["parameter", "data", "input"]);

class Builder implements Emitter {
  readonly target: Target;
  readonly #constants: ReadonlySet<Tensor>;
  readonly #dispatches: Dispatch[] = [];
  readonly #storages: Storage[] = [];
  readonly #places = new Map<Tensor, Storage>();
  readonly #normalizedLater = new Set<Tensor>();
  readonly #moments = new Map<Tensor, RowMoments>();

  constructor(target: Target, constants: ReadonlySet<Tensor>) {
    this.target = target;
    this.#constants = constants;
  }

  build(outputs: Outputs): Program {
    const order = reachable(outputs);
    for (const t of order) {
      if (t.attrs.normEps !== undefined) this.#normalizedLater.add(sameRows(t.inputs.x!));
    }
    for (const t of order) {
      const lazy = LOWERINGS[t.op]?.lazy?.(t, this.target);
      const pending = !this.#constants.has(t) && !LEAVES.has(t.op) && !lazy;
      if (pending && !this.#places.has(t)) this.#emit(t);
    }
    const place = (t: Tensor) => ({ storage: this.read(t), shape: t.shape, dtype: t.dtype });
    const inputs = order.filter((t) => t.op === "input");
    return {
      outputs: mapValues(outputs, place),
      inputs: Object.fromEntries(inputs.map((t) => [t.attrs.name as string, place(t)])),
      dispatches: this.#dispatches,
      storages: this.#storages,
    };
  }

  read(t: Tensor): Storage {
    const known = this.#places.get(t);
    if (known) return known;
    if (this.#constants.has(t)) return this.#leaf(t, "weight", weightType(t), vectors(t.shape));
    if (t.op === "parameter") return this.#parameter(t);
    if (t.op === "data" || t.op === "input") return this.#leaf(t, t.op, t.dtype, vectors(t.shape));
    this.#emit(t);
    return this.#places.get(t)!;
  }

  view(t: Tensor): View {
    const x = t.inputs.x;
    const { axis, start } = t.attrs as { axis?: number; start?: number };
    const inPlace =
      t.op === "slice" &&
      !this.#places.has(t) &&
      !this.#constants.has(t) &&
      axis === t.shape.length - 1 &&
      start! % 4 === 0 &&
      channels(t.shape) % 4 === 0;
    if (!inPlace || !x) return { storage: this.read(t), offset: 0, pitch: pitch(t.shape) };
    const parent = this.view(x);
    return { ...parent, offset: parent.offset + start! / 4 };
  }

  gather(t: Tensor): { storage: Storage; stride: number[] } {
    if (t.op !== "parameter" || this.#constants.has(t) || this.#places.has(t)) {
      return { storage: this.read(t), stride: strides(t.shape) };
    }
    return { storage: this.#raw(t), stride: denseStrides(t.shape) };
  }

  write(t: Tensor): Storage {
    return this.#leaf(t, "scratch", t.dtype, vectors(t.shape));
  }

  scratch(type: StoredType, count: number, name: string): Storage {
    return this.#storage("scratch", type, count, name);
  }

  placed(x: Tensor): boolean {
    return this.#places.has(x);
  }

  normalizedLater(t: Tensor): boolean {
    return this.#normalizedLater.has(t);
  }

  leave(t: Tensor, moments: RowMoments): void {
    this.#moments.set(t, moments);
  }

  left(x: Tensor): RowMoments | undefined {
    return this.#moments.get(sameRows(x));
  }

  alias(t: Tensor, storage: Storage): void {
    this.#places.set(t, storage);
  }

  dispatch: Emitter["dispatch"] = (kernel, params, operands, label) => {
    const present = Object.entries(operands).filter(([, storage]) => storage !== undefined);
    const missing = kernel.operands.filter((o) => !o.optional && operands[o.name] === undefined);
    if (missing.length > 0) {
      throw new DiffusionError(
        "INTERNAL",
        `${kernel.name} (${label}) lacks its operand ${missing[0]!.name}`,
      );
    }
    const given = Object.fromEntries(present) as Record<string, Storage>;
    this.#dispatches.push({ kernel, params, operands: given, label });
  };

  #emit(t: Tensor): void {
    const emit = LOWERINGS[t.op]?.emit;
    if (!emit) throw new DiffusionError("INTERNAL", `no kernel for the op ${t.op} (${t.label})`);
    emit(t, this);
  }

  /** A parameter lies in the file without padding: rows that are no multiple of four are spread out. */
  #parameter(t: Tensor): Storage {
    const raw = this.#raw(t);
    const width = channels(t.shape);
    if (width % 4 === 0 || rows(t.shape) === 1) {
      this.alias(t, raw);
      return raw;
    }
    const params = { from: width, fromStride: width, to: width, rows: rows(t.shape) };
    this.dispatch(reshapeKernel, params, { x: raw, y: this.write(t) }, t.label);
    return this.#places.get(t)!;
  }

  #raw(t: Tensor): Storage {
    const source = t.attrs.source as ParameterSource;
    return this.#storage("parameter", source.type, Math.ceil(numel(t.shape) / 4), t.label, t);
  }

  #leaf(t: Tensor, kind: Storage["kind"], type: StoredType, count: number): Storage {
    const storage = this.#storage(kind, type, count, t.label || t.op, t);
    this.#places.set(t, storage);
    return storage;
  }

  #storage(
    kind: Storage["kind"],
    type: StoredType,
    count: number,
    name: string,
    tensor?: Tensor,
  ): Storage {
    const id = this.#storages.length;
    const storage = { id, kind, type, vectors: count, name, ...(tensor ? { tensor } : {}) };
    this.#storages.push(storage);
    return storage;
  }
}

/** What x is another view of, with the same channels. */
function sameRows(x: Tensor): Tensor {
  const inner = x.op === "reshape" ? x.inputs.x! : undefined;
  return inner && channels(inner.shape) === channels(x.shape) ? sameRows(inner) : x;
}
