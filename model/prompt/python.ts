/** What Python's `re` means by `\s`, `\b` and `\d` in text, and by `float`: prompts are read with them. */

/** str.isspace(), inside of a character class. JavaScript's \s has U+FEFF besides and lacks U+001C…1F, U+0085. */
export const SPACE =
  "\\t-\\r\\x1c-\\x20\\x85\\xa0\\u1680\\u2000-\\u200a\\u2028\\u2029\\u202f\\u205f\\u3000";

const WORD = "[\\p{L}\\p{N}_]";

/** `\bword\b` for a word of letters. */
export function wholeWord(word: string): string {
  return `(?<!${WORD})${word}(?!${WORD})`;
}

/** float(text): NaN where Python would raise an error. The digits may be of any script. */
export function float(text: string): number {
  const ascii = text.replace(/\p{Nd}/gu, digitOf);
  return /^[+-]?(?:\d+\.?\d*|\.\d+)$/.test(ascii) ? Number(ascii) : Number.NaN;
}

const DIGIT = /^\p{Nd}$/u;

/** Unicode keeps the ten digits of a script side by side, the first of them behind something else or ten others. */
function digitOf(character: string): string {
  const code = character.codePointAt(0)!;
  let first = code;
  while (DIGIT.test(String.fromCodePoint(first - 1))) first--;
  return String((code - first) % 10);
}
