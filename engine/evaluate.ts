/** A small graph, run once: the way to try a single op. */

import { type CompileOptions, compile } from "./compile.ts";
import type { Device } from "./device.ts";
import type { HostArray } from "./host.ts";
import type { Shape } from "./shape.ts";
import type { Tensor } from "./tensor.ts";

/** Row-major values; Int32Array for i32, else Float32Array. */
export type Evaluated = HostArray & { readonly shape: Shape };

/**
 * Builds the graph, runs it on the device and returns the values: of one tensor, or of each in a list
 * or record. Throws SHAPE before any GPU work, and what `compile` throws.
 *
 *     const y = await evaluate(device, () => softmax(tensor([1, 2, 3], [1, 3])));
 */
export async function evaluate(
  device: Device,
  build: () => Tensor,
  options?: CompileOptions,
): Promise<Evaluated>;
export async function evaluate(
  device: Device,
  build: () => readonly Tensor[],
  options?: CompileOptions,
): Promise<Evaluated[]>;
export async function evaluate<K extends string>(
  device: Device,
  build: () => Readonly<Record<K, Tensor>>,
  options?: CompileOptions,
): Promise<Record<K, Evaluated>>;
export async function evaluate(
  device: Device,
  build: () => Tensor | readonly Tensor[] | Readonly<Record<string, Tensor>>,
  options: CompileOptions = {},
): Promise<unknown> {
  const built = build();
  if (isTensor(built)) return (await evaluateAll(device, { value: built }, options)).value;
  const results = await evaluateAll(device, { ...built } as Record<string, Tensor>, options);
  return Array.isArray(built) ? built.map((_, i) => results[i]) : results;
}

async function evaluateAll(
  device: Device,
  outputs: Readonly<Record<string, Tensor>>,
  options: CompileOptions,
): Promise<Record<string, Evaluated>> {
  const plan = await compile(device, outputs, options);
  try {
    plan.run();
    const results: Record<string, Evaluated> = {};
    for (const [name, { shape }] of Object.entries(outputs)) {
      const data = await plan.read(name);
      results[name] = Object.defineProperty(data, "shape", { value: shape }) as Evaluated;
    }
    return results;
  } finally {
    await plan.destroy();
  }
}

function isTensor(value: object): value is Tensor {
  return "op" in value && "shape" in value && typeof value.op === "string";
}
