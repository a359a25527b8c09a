/** Emphasis in a prompt, as AUTOMATIC1111's webui reads it (`parse_prompt_attention` of its version 1.10.1). */
import { DiffusionError } from "../../engine/errors.ts";
import { float, SPACE, wholeWord } from "./python.ts";

/** A piece of a prompt and how much its tokens count. */
export interface Emphasized {
  readonly text: string;
  readonly weight: number;
}

/** The mark between two chunks: no other piece has this text and this weight. */
export const BREAK: Emphasized = { text: "BREAK", weight: -1 };

const ROUND = 1.1;
const SQUARE = 1 / 1.1;

const WEIGHT = `:[${SPACE}]*([+-]?[.\\p{Nd}]+)[${SPACE}]*\\)`;
const TOKENS = new RegExp(`\\\\[()[\\]\\\\]?|[()[\\]]|${WEIGHT}|[^\\\\()[\\]:]+|:`, "gu");
const BREAKS = new RegExp(`[${SPACE}]*${wholeWord("BREAK")}[${SPACE}]*`, "u");

/**
 * The pieces of a prompt with their weights. `(x)` counts 1.1 times, `[x]` 1/1.1 times, `(x:w)` w times, and
 * nested ones multiply; `\(`, `\)`, `\[`, `\]`, `\\` stand for the character. A bracket that is never closed
 * holds to the end; one that was never opened is text. BREAK comes back as `BREAK`, unless it is emphasised
 * itself: then it is a word. Throws BAD_REQUEST for a weight that is no number.
 */
export function parsePromptAttention(prompt: string): Emphasized[] {
  const pieces: { text: string; weight: number }[] = [];
  const round: number[] = [];
  const square: number[] = [];
  const scale = (start: number, factor: number) => {
    for (const piece of pieces.slice(start)) piece.weight *= factor;
  };
  for (const [token, weight] of prompt.matchAll(TOKENS)) {
    const closed = opened(token, weight, round, square);
    if (token.startsWith("\\")) pieces.push({ text: token.slice(1), weight: 1 });
    else if (token === "(") round.push(pieces.length);
    else if (token === "[") square.push(pieces.length);
    else if (closed?.length) scale(closed.pop()!, factorOf(token, weight));
    else pieces.push(...withBreaks(token));
  }
  for (const start of round) scale(start, ROUND);
  for (const start of square) scale(start, SQUARE);
  return joinEqual(pieces.length > 0 ? pieces : [{ text: "", weight: 1 }]);
}

/** Where the brackets began that a token closes, if it is one that closes. */
function opened<T>(token: string, weight: string | undefined, round: T, square: T): T | undefined {
  if (token === "]") return square;
  return token === ")" || weight !== undefined ? round : undefined;
}

function factorOf(token: string, weight: string | undefined): number {
  if (weight === undefined) return token === ")" ? ROUND : SQUARE;
  const value = float(weight);
  if (Number.isFinite(value)) return value;
  throw new DiffusionError("BAD_REQUEST", `the prompt has a weight ":${weight}", no number`, {
    hint: "A weight looks like (word:1.3).",
  });
}

function withBreaks(text: string): Emphasized[] {
  return text
    .split(BREAKS)
    .flatMap((part, i) => [...(i > 0 ? [{ ...BREAK }] : []), { text: part, weight: 1 }]);
}

/** Neighbours of one weight as one piece. */
function joinEqual(pieces: readonly Emphasized[]): Emphasized[] {
  const joined: Emphasized[] = [];
  for (const { text, weight } of pieces) {
    const last = joined.at(-1);
    if (last?.weight === weight) joined[joined.length - 1] = { text: last.text + text, weight };
    else joined.push({ text, weight });
  }
  return joined;
}
