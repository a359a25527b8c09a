/**
 * Fusion: rewrite rules that merge an op into its only producer. Each rule is one row, tested by "the
 * fused plan equals the unfused plan".
 */
import { countUses, type Outputs, rebuild } from "./graph.ts";
import type { Tensor } from "./tensor.ts";

export interface FusionRule {
  readonly name: string;
  /** What replaces t, or undefined. `alone(x)` says that nobody but t reads x. */
  readonly apply: (t: Tensor, alone: (x: Tensor) => boolean) => Tensor | undefined;
}

export const FUSIONS: readonly FusionRule[] = [];

/** The outputs with every rule applied, from the leaves up, as often as it fits. */
export function fuse(outputs: Outputs, rules: readonly FusionRule[] = FUSIONS): Outputs {
  const uses = countUses(outputs);
  return rebuild(outputs, (t, original) => {
    const count = uses.get(original) ?? 0;
    let current = t;
    for (let again = true; again; ) {
      again = false;
      for (const rule of rules) {
        const next = rule.apply(current, (x) => uses.get(x) === 1);
        if (!next) continue;
        current = next;
        again = true;
      }
    }
    if (current !== original) uses.set(current, count);
    return current;
  });
}
