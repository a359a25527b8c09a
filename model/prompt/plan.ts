/** What a run shows the UNet: every distinct text of a prompt and its negative, and which one when. */
import { DiffusionError } from "../../engine/errors.ts";
import type { Tokenizer } from "../tokenizer.ts";
import { BREAK, type Emphasized, parsePromptAttention } from "./attention.ts";
import { type Chunk, checkWeight, emptyChunk, promptChunks } from "./chunks.ts";
import { type PromptPart, splitComposition } from "./compose.ts";
import { entryAt, promptSchedule, type ScheduledText } from "./schedule.ts";

/** How a prompt is read: as it stands, or as AUTOMATIC1111's webui reads it. */
export const PROMPT_SYNTAXES = ["plain", "a1111"] as const;
export type PromptSyntax = (typeof PROMPT_SYNTAXES)[number];

/** The most chunks of all texts of one run; of each the keys and values of 16 attentions are kept. */
export const MAX_CHUNKS = 40;

export interface PromptOptions {
  readonly syntax: PromptSyntax;
  /** Of a chunk, marks included; at most the text encoder's `maxPositionEmbeddings`. */
  readonly tokens: number;
  /** Evaluations of the UNet, where they are not `steps` (PNDM has one more). */
  readonly evaluations?: number | undefined;
  /** False leaves the negative prompt out, unless the prompt cannot do without guidance. */
  readonly guided?: boolean | undefined;
}

/** One condition of the UNet. */
export interface PromptTrack {
  readonly weight: number;
  /** For each evaluation the number of the encoding in force. */
  readonly uses: readonly number[];
}

export interface PromptPlan {
  /** Of each chunk. */
  readonly tokens: number;
  /** Of each encoding. */
  readonly chunks: number;
  /** Of distinct texts; those of the negative prompt come first. */
  readonly encodings: number;
  /** [encodings · chunks, tokens], and as many weights. */
  readonly ids: Int32Array;
  readonly weights: Float32Array;
  /** For `conditionText`; undefined where every weight is 1: the text encoder's result is used as it is. */
  readonly shares: Float32Array | undefined;
  readonly negative: PromptTrack | undefined;
  /** One for each part between ANDs. */
  readonly positive: readonly PromptTrack[];
  /** What was cut off (plain syntax alone). */
  readonly warnings: readonly string[];
  /** All that is encoded, without the marks of the syntax. */
  readonly pieces: readonly string[];
}

/** A text's chunks, and how many entries of its schedule have it. */
interface TextChunks {
  readonly chunks: readonly Chunk[];
  entries: number;
}

/** The distinct texts of one prompt, and which is in force at each evaluation. */
interface Track {
  readonly texts: readonly TextChunks[];
  readonly uses: readonly number[];
}

/**
 * Plans a prompt and its negative for a run of `steps` steps; twice as many where a step has two evaluations, for
 * the webui counts those. Throws BAD_REQUEST for weights that are no
 * numbers or beyond ±100, and for texts of more than 40 chunks in all, before any GPU work.
 */
export function planPrompt(
  prompt: string,
  negative: string,
  steps: number,
  tokenizer: Tokenizer,
  options: PromptOptions,
): PromptPlan {
  const { syntax, tokens, evaluations = steps } = options;
  const warnings: string[] = [];
  const pieces: string[] = [];
  const encode = (text: string): readonly Chunk[] => {
    pieces.push(...(syntax === "plain" ? [text] : wordsOf(text)));
    return syntax === "plain"
      ? [plainChunk(text, tokenizer, tokens, warnings)]
      : promptChunks(text, tokenizer, tokens);
  };
  const scheduleOf = (text: string): readonly ScheduledText[] =>
    syntax === "plain" ? [{ end: steps, text }] : promptSchedule(text, steps);
  // The same part twice is one track: its encodings are made once.
  const tracks = new Map<string, Track>();
  const trackOf = (text: string): Track => {
    const track = tracks.get(text) ?? makeTrack(scheduleOf(text), evaluations, encode);
    tracks.set(text, track);
    return track;
  };
  const parts = syntax === "plain" ? [{ text: prompt, weight: 1 }] : splitComposition(prompt);
  for (const { text, weight } of parts) checkWeight(weight, text);
  const negativeTrack =
    options.guided === false && !isComposed(parts) ? undefined : trackOf(negative);
  const positiveTracks = parts.map(({ text }) => trackOf(text));
  const starts = checkedStarts([...tracks.values()]);
  const used = (track: Track, weight: number): PromptTrack => ({
    weight,
    uses: track.uses.map((text) => starts.get(track)! + text),
  });
  return {
    ...layOut([...tracks.values()], emptyChunk(tokenizer, tokens)),
    tokens,
    negative: negativeTrack && used(negativeTrack, 1),
    positive: positiveTracks.map((track, i) => used(track, parts[i]!.weight)),
    ...{ warnings, pieces },
  };
}

function wordsOf(text: string): string[] {
  const isBreak = (piece: Emphasized) => piece.text === BREAK.text && piece.weight === BREAK.weight;
  return parsePromptAttention(text)
    .filter((piece) => !isBreak(piece))
    .map((piece) => piece.text);
}

/** Whether guidance of this prompt is more than a scale: then there is no way to turn it off. */
function isComposed(parts: readonly PromptPart[]): boolean {
  return parts.length > 1 || parts[0]!.weight !== 1;
}

/** Today's way: one context, the rest cut off. */
function plainChunk(text: string, tokenizer: Tokenizer, tokens: number, warnings: string[]): Chunk {
  const { ids, truncated } = tokenizer.encode(text, tokens);
  if (truncated) {
    warnings.push(
      `the prompt is longer than ${tokens} tokens; this part of it is ignored: ${JSON.stringify(truncated)}`,
    );
  }
  return { ids, weights: new Float32Array(tokens).fill(1) };
}

function makeTrack(
  schedule: readonly ScheduledText[],
  evaluations: number,
  encode: (text: string) => readonly Chunk[],
): Track {
  const texts = new Map<string, TextChunks>();
  for (const { text } of schedule) {
    const known = texts.get(text);
    if (known) known.entries++;
    else texts.set(text, { chunks: encode(text), entries: 1 });
  }
  const order = [...texts.keys()];
  const uses = Array.from({ length: evaluations }, (_, call) =>
    order.indexOf(schedule[entryAt(schedule, call)]!.text),
  );
  return { texts: [...texts.values()], uses };
}

/** The number of each track's first encoding. */
function checkedStarts(tracks: readonly Track[]): ReadonlyMap<Track, number> {
  const starts = new Map<Track, number>();
  let count = 0;
  for (const track of tracks) {
    starts.set(track, count);
    count += track.texts.length;
  }
  const each = longest(tracks);
  if (count * each <= MAX_CHUNKS) return starts;
  throw new DiffusionError(
    "BAD_REQUEST",
    `the prompts have ${count} texts of up to ${each} chunks, ${count * each} in all; at most ${MAX_CHUNKS} fit`,
    { hint: "Shorten the prompts, or let fewer words alternate." },
  );
}

function longest(tracks: readonly Track[]): number {
  return Math.max(...tracks.flatMap(({ texts }) => texts.map(({ chunks }) => chunks.length)));
}

/** All encodings side by side, filled up with empty chunks to one length. */
function layOut(tracks: readonly Track[], empty: Chunk) {
  const chunks = longest(tracks);
  const texts = tracks.flatMap((track) => track.texts);
  const all = texts.flatMap((text) =>
    Array.from({ length: chunks }, (_, i) => text.chunks[i] ?? empty),
  );
  const weights = Float32Array.from(all.flatMap((chunk) => [...chunk.weights]));
  return {
    chunks,
    encodings: texts.length,
    ids: Int32Array.from(all.flatMap(({ ids }) => [...ids])),
    weights,
    shares: weights.every((weight) => weight === 1) ? undefined : sharesOf(tracks, chunks),
  };
}

/**
 * [encodings · chunks]², a row for each chunk: of which chunks' mean its own is a part. The webui encodes
 * the i-th chunks of all entries of a schedule as one batch and restores the mean of the batch, in which
 * a text stands as often as the schedule has it.
 */
function sharesOf(tracks: readonly Track[], chunks: number): Float32Array {
  const size = tracks.reduce((sum, { texts }) => sum + texts.length, 0) * chunks;
  const shares = new Float32Array(size * size);
  let first = 0;
  for (const { texts } of tracks) {
    const total = texts.reduce((sum, { entries }) => sum + entries, 0);
    for (let row = 0; row < texts.length * chunks; row++) {
      texts.forEach(({ entries }, text) => {
        const column = first + text * chunks + (row % chunks);
        shares[(first + row) * size + column] = entries / total;
      });
    }
    first += texts.length * chunks;
  }
  return shares;
}
