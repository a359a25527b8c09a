/** One expression with fusion and without: the dispatches of each, and what they compute. */

import { compile } from "../../engine/compile.ts";
import type { Device } from "../../engine/device.ts";
import type { Outputs } from "../../engine/graph.ts";
import type { HostArray } from "../../engine/host.ts";
import { type LowerOptions, lower } from "../../engine/program.ts";
import type { Tensor } from "../../engine/tensor.ts";

/** Names of the kernels that a plan of these outputs runs, in order. */
export function kernels(device: Device, outputs: Outputs, options: LowerOptions = {}): string[] {
  return lower(outputs, device.target, options).dispatches.map(({ kernel }) => kernel.name);
}

/** The dispatches that compute, if nothing else does: all but what brings operands to another layout. */
export function products(names: readonly string[]): number {
  return names.filter((name) => !["copy", "planes"].includes(name)).length;
}

/** A table of cases as the outputs of one plan. */
export function numbered(cases: readonly { readonly y: Tensor }[]): Record<string, Tensor> {
  return Object.fromEntries(cases.map(({ y }, i) => [String(i), y]));
}

/** Runs a plan of many outputs and reads them all: one compilation for a whole table of cases. */
export async function runAll(
  device: Device,
  outputs: Outputs,
  options: LowerOptions = {},
): Promise<Record<string, HostArray>> {
  const plan = await compile(device, outputs, options);
  try {
    plan.run();
    const results: Record<string, HostArray> = {};
    for (const name of Object.keys(outputs)) results[name] = await plan.read(name);
    return results;
  } finally {
    await plan.destroy();
  }
}
