/** How the encodings of a prompt become the halves of guidance. */
import type { ChunkSizes } from "../painter.ts";
import type { PromptPlan, PromptTrack } from "./plan.ts";

type Tracks = Pick<PromptPlan, "negative" | "positive">;

/** What plans are compiled for: the encoding of each half, where no half's text changes on the way. */
export function chunkSizes(plan: PromptPlan): ChunkSizes {
  const { chunks, encodings, shares } = plan;
  const fixed = tracksOf(plan).every(({ uses }) => uses.every((row) => row === uses[0]));
  return {
    ...{ chunks, encodings, weighted: shares !== undefined },
    ...(fixed && { halves: rowsAt(plan, 0) }),
  };
}

/** The encoding of each half at an evaluation, the negative prompt's first. */
export function rowsAt(plan: Tracks, evaluation: number): number[] {
  return tracksOf(plan).map(({ uses }) => uses[evaluation]!);
}

/** What each condition counts, where guidance by them is more than a scale. */
export function conditionWeights({ positive }: Tracks): Float32Array | undefined {
  const weights = positive.map(({ weight }) => weight);
  return weights.length > 1 || weights[0] !== 1 ? Float32Array.from(weights) : undefined;
}

function tracksOf({ negative, positive }: Tracks): PromptTrack[] {
  return negative ? [negative, ...positive] : [...positive];
}
