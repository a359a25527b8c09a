/** The choice among variants of a kernel: what was measured on this device, else what should be fastest. */
import { attentionBlocks } from "../../shaders/attention.ts";
import { type ProductSize, type Tiling, tilingName, tilings } from "../../shaders/tile.ts";
import type { AttentionProblem, ConvProblem, LinearProblem, Problem } from "../tuning/choices.ts";
import type { Target } from "./lowering.ts";

export function tunedTiling(
  problem: LinearProblem | ConvProblem,
  product: ProductSize,
  target: Target,
): Tiling {
  return tuned(problem, tilings(product, target), tilingName, target);
}

/** Queries of a workgroup. */
export function tunedBlock(problem: AttentionProblem, target: Target): number {
  return tuned(problem, attentionBlocks(target), String, target);
}

/** `variants`: what should be fastest first. A choice that is none of them (any more) is no choice. */
function tuned<V>(
  problem: Problem,
  variants: readonly V[],
  nameOf: (variant: V) => string,
  { tuning }: Target,
): V {
  const chosen = tuning?.choice(problem, variants.map(nameOf));
  return variants.find((variant) => nameOf(variant) === chosen) ?? variants[0]!;
}
