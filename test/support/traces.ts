/** The samples of the recorded sampler runs, which tools/reference writes beside each .json. */
import { readFileSync } from "node:fs";
import { readSafetensors } from "../../engine/safetensors.ts";
import { memorySource } from "./byte-source.ts";

/** A run as its .json has it, one state a timestep. */
interface Row {
  readonly timesteps: readonly number[];
}

/** The rows with their `states`, one a timestep: the f64 tensor "states" [n, elements] holds those of all rows. */
export async function withStates<T extends Row>(
  rows: readonly T[],
  file: string,
): Promise<(T & { readonly states: readonly number[][] })[]> {
  const bytes = readFileSync(new URL(`../fixtures/${file}`, import.meta.url));
  const tensor = (await readSafetensors(memorySource(bytes, file))).tensors.get("states")!;
  const [, elements] = tensor.shape as [number, number];
  const all = new Float64Array((await tensor.read(0, tensor.byteLength)).slice().buffer);
  let next = 0;
  const state = () => [...all.subarray(next * elements, ++next * elements)];
  return rows.map((row) => ({ ...row, states: row.timesteps.map(state) }));
}
