/** A prompt of any length as pieces that the text encoder takes, as AUTOMATIC1111's webui cuts them. */
import { DiffusionError } from "../../engine/errors.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { BREAK, parsePromptAttention } from "./attention.ts";

/** The ids of one context of the text encoder, and how much each counts. */
export interface Chunk {
  /** Start mark, text, end mark, padding. */
  readonly ids: Int32Array;
  readonly weights: Float32Array;
}

/** The largest weight, either sign: beyond it nothing but noise was ever seen. */
export const MAX_WEIGHT = 100;

/** A comma that so few tokens follow ends its chunk; they go to the next one (webui's default). */
const BACKTRACK = 20;

/**
 * The chunks of a text with its emphasis, at least one. `tokens` is the length of a chunk, the two marks
 * included. Throws BAD_REQUEST for a weight that is no number or beyond ±100.
 */
export function promptChunks(text: string, tokenizer: Tokenizer, tokens: number): Chunk[] {
  const chunks: Chunk[] = [];
  let ids: number[] = [];
  let weights: number[] = [];
  let lastComma = -1;
  const room = tokens - 2;
  const endChunk = (length = ids.length) => {
    chunks.push(chunk(ids.slice(0, length), weights.slice(0, length), tokenizer, tokens));
    [ids, weights, lastComma] = [ids.slice(length), weights.slice(length), -1];
  };
  for (const token of weightedTokens(text, tokenizer)) {
    if (!("id" in token)) {
      endChunk();
      continue;
    }
    if (token.id === tokenizer.comma) lastComma = ids.length;
    else if (ids.length === room && lastComma >= 0 && room - lastComma <= BACKTRACK) {
      endChunk(lastComma + 1);
    }
    if (ids.length === room) endChunk();
    ids.push(token.id);
    weights.push(token.weight);
  }
  if (ids.length > 0 || chunks.length === 0) endChunk();
  return chunks;
}

/** The tokens of a text, and BREAK where a chunk ends before it is full. */
function* weightedTokens(text: string, tokenizer: Tokenizer) {
  for (const piece of parsePromptAttention(text)) {
    if (piece.text === BREAK.text && piece.weight === BREAK.weight) yield BREAK;
    else {
      checkWeight(piece.weight, piece.text);
      for (const id of tokenizer.tokenize(piece.text)) yield { id, weight: piece.weight };
    }
  }
}

/** What fills up a shorter text: the chunk of an empty one. */
export function emptyChunk(tokenizer: Tokenizer, tokens: number): Chunk {
  return chunk([], [], tokenizer, tokens);
}

/** Throws BAD_REQUEST for a weight that is not finite or beyond ±100. */
export function checkWeight(weight: number, text: string): void {
  if (Math.abs(weight) <= MAX_WEIGHT) return;
  const shown = text.length > 40 ? `${text.slice(0, 37)}...` : text;
  throw new DiffusionError(
    "BAD_REQUEST",
    `the weight of ${JSON.stringify(shown)} must be between -${MAX_WEIGHT} and ${MAX_WEIGHT} (got ${weight})`,
    { hint: "Nested brackets multiply; common weights are 0.5 to 1.5." },
  );
}

function chunk(
  text: readonly number[],
  textWeights: readonly number[],
  { start, end, pad }: Tokenizer,
  tokens: number,
): Chunk {
  const ids = new Int32Array(tokens).fill(pad);
  // An end mark that the text itself holds ends the chunk as well.
  const spelled = text.indexOf(end);
  ids.set([start, ...(spelled < 0 ? [...text, end] : text.slice(0, spelled + 1))]);
  const weights = new Float32Array(tokens).fill(1);
  weights.set(textWeights, 1);
  return { ids, weights };
}
