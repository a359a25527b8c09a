/** The vocabulary of lowering: from ops to dispatches of kernels on storages. */
import type { GpuShape } from "../../shaders/gpus.ts";
import type { AnyKernel, Kernel } from "../../shaders/kernel.ts";
import type { StoredType } from "../dtype.ts";
import type { Tensor } from "../tensor.ts";
import type { Choices } from "../tuning/choices.ts";

/** What the device can do, as far as the choice of kernels depends on it. */
export interface Target {
  readonly maxBufferSize: number;
  readonly maxBindingSize: number;
  readonly maxWorkgroupStorage: number;
  readonly features: ReadonlySet<string>;
  /** A CPU that plays a GPU: loads are dear there, barriers dearer, and shared memory is no faster. */
  readonly software: boolean;
  /** Kernels get their dims as constants, not as uniforms. */
  readonly bake: boolean;
  /** What estimates take the GPU to be; default: a large NVIDIA. */
  readonly gpu?: GpuShape | undefined;
  /** What was measured on it; without, estimates decide. */
  readonly tuning?: Choices | undefined;
}

/** A stretch of GPU memory for one tensor, before it has a buffer: `vectors` elements of four values. */
export interface Storage {
  readonly id: number;
  readonly kind: "scratch" | "input" | "weight" | "parameter" | "data";
  readonly type: StoredType;
  readonly vectors: number;
  readonly name: string;
  /** What it holds: the tensor, for a weight the constant expression, for a parameter its file entry. */
  readonly tensor?: Tensor;
}

/** Some neighbouring channels of a storage: row r starts at offset + r · pitch (in vec4). */
export interface View {
  readonly storage: Storage;
  readonly offset: number;
  readonly pitch: number;
}

/** Moments of the rows of a tensor (`lib/row-moments`): in how many pieces, and the vec4s of each. */
export interface RowMoments {
  readonly storage: Storage;
  readonly pieces: number;
  readonly width: number;
}

export interface Dispatch {
  readonly kernel: AnyKernel;
  readonly params: unknown;
  readonly operands: Readonly<Record<string, Storage>>;
  readonly label: string;
}

/** What an op's lowering may do. */
export interface Emitter {
  readonly target: Target;
  /** Where x lies, dense: reshapes share their input's storage, slices are copied out. */
  read(x: Tensor): Storage;
  /** Like `read`, but slices of the last axis stay where they are, if they lie on vec4 borders. */
  view(x: Tensor): View;
  /** Where x lies for a gather: like `read`, but a parameter stays as the file has it, without padding. */
  gather(x: Tensor): { readonly storage: Storage; readonly stride: readonly number[] };
  /** Room for the result; every op writes its result exactly once, all lanes of it. */
  write(t: Tensor): Storage;
  /** Room for something between two dispatches of one op. */
  scratch(type: StoredType, vectors: number, name: string): Storage;
  /** Whether x lies somewhere already: what is `lazy` may not. */
  placed(x: Tensor): boolean;
  /** Whether a later op normalises the rows of t: what computes them may leave their moments as it stores them, */
  normalizedLater(t: Tensor): boolean;
  /** here, */
  leave(t: Tensor, moments: RowMoments): void;
  /** where that op finds them; undefined if nobody left any. */
  left(x: Tensor): RowMoments | undefined;
  /** Lets t share the storage of another tensor. */
  alias(t: Tensor, storage: Storage): void;
  dispatch<P>(
    kernel: Kernel<P>,
    params: P,
    operands: Readonly<Record<string, Storage | undefined>>,
    label: string,
  ): void;
}

/** How one op becomes dispatches: by way of other ops (`rewrite`), or itself (`emit`). */
export interface Lowering {
  /** An equivalent of t, made of other ops (also for its weights: what depends on parameters alone runs once, at load). */
  readonly rewrite?: (t: Tensor, target: Target) => Tensor | undefined;
  readonly emit?: (t: Tensor, emitter: Emitter) => void;
  /** Emitted when somebody reads it, not in order: ops that usually cost nothing. */
  readonly lazy?: (t: Tensor, target: Target) => boolean;
}
