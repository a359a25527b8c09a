/** Several prompts in one, and the guidance of them all. */
import { float, SPACE, wholeWord } from "./python.ts";

/** One of the prompts between ANDs. */
export interface PromptPart {
  readonly text: string;
  readonly weight: number;
}

const AND = new RegExp(wholeWord("AND"), "u");
const NUMBER = "[-+]?(?:\\p{Nd}+\\.?|\\p{Nd}*\\.\\p{Nd}+)";
const END = new RegExp(`(?:[${SPACE}]*:[${SPACE}]*(${NUMBER}))?[${SPACE}]*$`, "u");

/**
 * The prompts between ANDs with their weights, `a cat :1.2 AND a dog`; a weight that is not there is 1
 * (webui: `get_multicond_prompt_list`). AND parts brackets too: it is looked for before them.
 */
export function splitComposition(prompt: string): PromptPart[] {
  return prompt.split(AND).map((part) => {
    const end = END.exec(part)!;
    const weight = end[1] === undefined ? 1 : float(end[1]);
    return { text: part.slice(0, end.index), weight };
  });
}

/**
 * u + Σ wᵢ·scale·(cᵢ − u): the guidance of several conditions (Liu et al. 2022, arXiv 2206.01714, eq. 11);
 * with one condition of weight 1 it is that of Ho and Salimans 2022. All arrays have one length.
 */
export function combineGuidance(
  unconditional: ArrayLike<number>,
  conditions: readonly ArrayLike<number>[],
  weights: readonly number[],
  scale: number,
): Float32Array {
  return Float32Array.from(unconditional, (u, i) =>
    conditions.reduce((sum, c, j) => sum + weights[j]! * scale * (c[i]! - u), u),
  );
}
