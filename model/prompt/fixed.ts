/** Prompts that stay the same for the whole run: what the pipeline can show the UNet. */
import { DiffusionError } from "../../engine/errors.ts";
import type { ChunkSizes } from "../painter.ts";
import type { PromptPlan, PromptTrack } from "./plan.ts";

/**
 * How a plan's encodings become the two halves of guidance (or the one without it). Throws BAD_REQUEST for a
 * text that changes on the way, and for several conditions: those need more than two halves.
 */
export function fixedHalves({
  negative,
  positive,
  chunks,
  encodings,
  shares,
}: PromptPlan): ChunkSizes {
  const [condition, ...others] = positive;
  if (others.length > 0 || condition!.weight !== 1)
    throw unsupported("several conditions with AND, or a weight of the whole prompt,");
  const tracks = negative ? [negative, condition!] : [condition!];
  return { chunks, encodings, weighted: shares !== undefined, halves: tracks.map(onlyRow) };
}

function onlyRow({ uses }: PromptTrack): number {
  const [first] = uses;
  if (uses.some((row) => row !== first)) throw unsupported("a text that changes from step to step");
  return first!;
}

function unsupported(what: string): DiffusionError {
  return new DiffusionError("BAD_REQUEST", `${what} is not in this version`, {
    hint: "Emphasis, BREAK and prompts of any length are. --prompt-syntax plain takes a prompt as it stands.",
  });
}
