/** Checkpoints trained on a small language say which words they know; the rest of a prompt means nothing to them. */
import { DiffusionError } from "../engine/errors.ts";

/** The words that tokenizer_config.json lists as `known_words`; undefined where it lists none. Throws TOKENIZER. */
export function knownWords(tokenizerConfig: unknown): ReadonlySet<string> | undefined {
  const listed = (tokenizerConfig as { known_words?: unknown } | undefined)?.known_words;
  if (listed === undefined) return undefined;
  if (Array.isArray(listed) && listed.every((word) => typeof word === "string"))
    return new Set(listed);
  throw new DiffusionError("TOKENIZER", "tokenizer_config.json: known_words is no list of words");
}

/** The words of some texts that are not known, in lower case, each once, in the order of the texts. */
export function unknownWords(texts: readonly string[], known: ReadonlySet<string>): string[] {
  const words = texts.flatMap((text) => text.toLowerCase().match(/[\p{L}\p{N}]+/gu) ?? []);
  return [...new Set(words)].filter((word) => !known.has(word));
}

/** What a user is told of them; undefined where there are none. */
export function unknownWordsWarning(
  texts: readonly string[],
  known: ReadonlySet<string> | undefined,
): string | undefined {
  const unknown = known ? unknownWords(texts, known) : [];
  if (unknown.length === 0) return undefined;
  const quoted = unknown.map((word) => JSON.stringify(word)).join(", ");
  return `this checkpoint's vocabulary lacks ${quoted}: it was trained on a small set of words, and paints as if they were noise`;
}
