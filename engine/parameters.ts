/** A path into a checkpoint: the code path is the checkpoint's path, and errors name it whole. */
import type { StoredType } from "./dtype.ts";
import { DiffusionError } from "./errors.ts";
import type { StoredDtype, StoredTensor } from "./safetensors.ts";
import { type ParameterSource, parameter, type Tensor, withScope } from "./tensor.ts";

const TYPES: Partial<Record<StoredDtype, StoredType>> = { F32: "f32", F16: "f16", BF16: "bf16" };

export class Weights {
  readonly path: string;
  readonly #prefix: string;
  readonly #sources: ReadonlyMap<string, ParameterSource>;

  /** `root` names the part in messages ("unet"); the file's own names do not carry it. */
  static of(root: string, tensors: ReadonlyMap<string, StoredTensor>): Weights {
    const sources = [...tensors].map(
      ([name, tensor]) => [name, sourceOf(`${root}.${name}`, tensor)] as const,
    );
    return new Weights(root, "", new Map(sources));
  }

  private constructor(path: string, prefix: string, sources: ReadonlyMap<string, ParameterSource>) {
    this.path = path;
    this.#prefix = prefix;
    this.#sources = sources;
  }

  /** The part of the checkpoint below `key` ("down_blocks.0"). */
  at(key: string): Weights {
    return new Weights(`${this.path}.${key}`, `${this.#prefix}${key}.`, this.#sources);
  }

  /** `key.0`, `key.1`, … as many as there are. */
  list(key: string): Weights[] {
    const found: Weights[] = [];
    while (this.has(`${key}.${found.length}`)) found.push(this.at(`${key}.${found.length}`));
    return found;
  }

  /** Whether there is a tensor of this name or anything below it. */
  has(key: string): boolean {
    const name = this.#prefix + key;
    if (this.#sources.has(name)) return true;
    for (const other of this.#sources.keys()) if (other.startsWith(`${name}.`)) return true;
    return false;
  }

  /** The parameter `key` here. Throws WEIGHTS_MISMATCH with the whole path if it is not there. */
  tensor(key: string): Tensor {
    const found = this.optional(key);
    if (found) return found;
    throw new DiffusionError(
      "WEIGHTS_MISMATCH",
      `the checkpoint has no tensor ${this.path}.${key}`,
      {
        hint: "Is this the right kind of checkpoint? `wgsl-diffusion inspect` lists what is in it.",
      },
    );
  }

  optional(key: string): Tensor | undefined {
    const source = this.#sources.get(this.#prefix + key);
    return source && parameter(source);
  }
}

function sourceOf(name: string, stored: StoredTensor): ParameterSource {
  const type = TYPES[stored.dtype];
  if (!type) {
    throw new DiffusionError(
      "WEIGHTS_DTYPE",
      `${name} is stored as ${stored.dtype}; weights may be F32, F16 or BF16`,
    );
  }
  return { name, type, shape: stored.shape, read: (offset, length) => stored.read(offset, length) };
}

/** A layer: a function of its weights and more, whose results are named after the weights' path. */
export function layer<Rest extends unknown[], Result>(
  build: (w: Weights, ...rest: Rest) => Result,
): (w: Weights, ...rest: Rest) => Result {
  return (w, ...rest) => withScope(w.path, () => build(w, ...rest));
}
