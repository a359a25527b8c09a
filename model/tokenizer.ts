import { DiffusionError } from "../engine/errors.ts";
import { type AddedToken, readTokenizerFiles, type TokenizerFiles } from "./tokenizer-files.ts";

/** CLIP's byte-level BPE, with the ids of Hugging Face's fast tokenizer (transformers 5). */
export type Tokenizer = {
  /** The context length that the folder's files give, else CLIP's 77. */
  readonly maxLength: number;
  /** The ids of the marks and of the pad token. */
  readonly start: number;
  readonly end: number;
  readonly pad: number;
  /** The id of a comma that ends a word, if there is one. */
  readonly comma: number | undefined;
  /** The ids of the text alone: no marks, no padding, nothing cut. */
  tokenize(text: string): number[];
  /**
   * Start mark, text, end mark, then the pad token up to `maxLength` (default: the folder's) ids.
   * Text beyond it is cut, never the end mark. Throws BAD_REQUEST if the marks alone do not fit.
   */
  encode(text: string, maxLength?: number): Encoding;
};

export type Encoding = {
  readonly ids: Int32Array;
  /** How many ids come before the padding, marks included. */
  readonly count: number;
  /** The text that did not fit, "" if all did. */
  readonly truncated: string;
};

/**
 * A tokenizer from the files of a checkpoint's `tokenizer/` folder, its merges and special tokens
 * its own. Throws TOKENIZER where they are damaged or do not fit each other.
 */
export function createTokenizer(files: TokenizerFiles): Tokenizer {
  const { vocab, ranks, start, end, pad, unknown, added, maxLength } = readTokenizerFiles(files);
  const rawMarks = finder(added, false);
  const cleanMarks = finder(added, true);
  const wordIds = (word: string) =>
    mergeWord(word, ranks).map((part) => vocab.get(part) ?? unknown);
  const textIds = (text: string) =>
    splitBy(rawMarks, text.toWellFormed(), (raw) =>
      splitBy(cleanMarks, normalize(raw), (clean) => words(clean).flatMap(wordIds)),
    );
  let names: Map<number, string> | undefined;
  const decode = (ids: readonly number[]) => {
    names ??= new Map([...vocab].map(([token, id]) => [id, token]));
    return bytesToText(ids.map((id) => names?.get(id) ?? "").join(""));
  };
  return {
    maxLength,
    start,
    end,
    pad,
    comma: vocab.get(`,${END_OF_WORD}`),
    tokenize: textIds,
    encode(text, length = maxLength) {
      if (!(Number.isInteger(length) && length >= 2)) {
        throw new DiffusionError(
          "BAD_REQUEST",
          `a context of ${length} tokens has no room for the marks`,
        );
      }
      const ids = textIds(text);
      const kept = [start, ...ids.slice(0, length - 2), end];
      const padded = new Int32Array(length).fill(pad);
      padded.set(kept);
      return { ids: padded, count: kept.length, truncated: decode(ids.slice(length - 2)) };
    },
  };
}

/** Finds added tokens in text, the longest where several begin; `normalized` picks which of them. */
function finder(added: readonly AddedToken[], normalized: boolean): Finder {
  const ids = new Map(added.filter((token) => token.normalized === normalized).map(markEntry));
  const byLength = [...ids.keys()].sort((a, b) => b.length - a.length).map(escapeRegExp);
  return {
    ids,
    pattern: byLength.length > 0 ? new RegExp(`(${byLength.join("|")})`, "u") : undefined,
  };
}

type Finder = { readonly ids: ReadonlyMap<string, number>; readonly pattern: RegExp | undefined };

/** A normalised token is looked for in normalised text, so it is normalised itself. */
function markEntry({ content, id, normalized }: AddedToken): readonly [string, number] {
  return [normalized ? normalize(content) : content, id];
}

function escapeRegExp(text: string): string {
  return text.replace(/[.*+?^${}()|[\]\\/]/g, "\\$&");
}

/** The ids of the marks in `text` and, between them, of what `inner` makes of the rest. */
function splitBy(
  { ids, pattern }: Finder,
  text: string,
  inner: (text: string) => number[],
): number[] {
  if (pattern === undefined) return inner(text);
  return text.split(pattern).flatMap((piece, i) => (i % 2 === 1 ? ids.get(piece)! : inner(piece)));
}

/** Unicode's White_Space. JavaScript's \s has U+FEFF besides and lacks U+0085. */
const SPACE = "\\t-\\r \\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";
const SPACES = new RegExp(`[${SPACE}]+`, "gu");

function normalize(text: string): string {
  // Code point by code point: a whole word would turn its last Σ into a final ς.
  return Array.from(text.normalize("NFC").replace(SPACES, " "), (c) => c.toLowerCase()).join("");
}

// No i flag: it would fold ſ and the Kelvin sign into s and k.
const CONTRACTIONS = "'s|'t|'re|'ve|'m|'ll|'d";
const OTHER = `[^${SPACE}\\p{L}\\p{N}]+`;
const MARK_TEXT = "<\\|startoftext\\|>|<\\|endoftext\\|>";
const PIECES = new RegExp(`${MARK_TEXT}|${CONTRACTIONS}|\\p{L}+|\\p{N}|${OTHER}`, "gu");
const PARTS = new RegExp(`${CONTRACTIONS}|\\p{L}+|\\p{N}+|${OTHER}`, "gu");

/** CLIP's words, then GPT-2's inside them: that takes a lower-cased <|ENDOFTEXT|> apart. */
function words(text: string): string[] {
  return (text.match(PIECES) ?? []).flatMap((piece) => piece.match(PARTS) ?? []);
}

const END_OF_WORD = "</w>";

/** Sennrich et al. 2016: byte characters joined pair by pair, the pair earliest in the list first. */
function mergeWord(word: string, ranks: ReadonlyMap<string, number>): string[] {
  let parts = Array.from(new TextEncoder().encode(word), (byte) => BYTE_CHARACTERS[byte]!);
  parts[parts.length - 1] += END_OF_WORD;
  while (parts.length > 1) {
    const pair = bestPair(parts, ranks);
    if (pair === undefined) break;
    parts = join(parts, pair);
  }
  return parts;
}

function bestPair(
  parts: readonly string[],
  ranks: ReadonlyMap<string, number>,
): string | undefined {
  let best: string | undefined;
  let bestRank = Number.POSITIVE_INFINITY;
  for (let i = 0; i + 1 < parts.length; i++) {
    const pair = `${parts[i]} ${parts[i + 1]}`;
    const rank = ranks.get(pair) ?? Number.POSITIVE_INFINITY;
    if (rank < bestRank) [best, bestRank] = [pair, rank];
  }
  return best;
}

function join(parts: readonly string[], pair: string): string[] {
  const joined: string[] = [];
  for (let i = 0; i < parts.length; i++) {
    const isPair = i + 1 < parts.length && `${parts[i]} ${parts[i + 1]}` === pair;
    joined.push(isPair ? `${parts[i]}${parts[++i]}` : parts[i]!);
  }
  return joined;
}

/** GPT-2's stand-ins: a printable byte is itself, the others follow from U+0100. */
const BYTE_CHARACTERS: readonly string[] = (() => {
  const printable = (byte: number) =>
    (byte > 0x20 && byte < 0x7f) || (byte > 0xa0 && byte !== 0xad && byte < 0x100);
  let next = 0x100;
  return Array.from({ length: 256 }, (_, byte) =>
    String.fromCodePoint(printable(byte) ? byte : next++),
  );
})();
const CHARACTER_BYTES = new Map(BYTE_CHARACTERS.map((character, byte) => [character, byte]));

/** The text of tokens, for a person to read: ends of words become spaces. */
function bytesToText(tokens: string): string {
  const bytes = Uint8Array.from(tokens, (character) => CHARACTER_BYTES.get(character) ?? 0x3f);
  return new TextDecoder().decode(bytes).replaceAll(END_OF_WORD, " ").trim();
}
