/**
 * Text that tokenizers disagree about, from a seed: pieces of language, of markup and of Unicode's
 * dark corners, glued with or without spaces. All of its characters are as old as Unicode 13, since
 * \p{L} of a newer one depends on the JavaScript engine's tables.
 */
export function* oddTexts(seed: number, count: number): Generator<string> {
  const random = mulberry32(seed);
  const pick = <T>(from: readonly T[]): T => from[Math.floor(random() * from.length)]!;
  for (let i = 0; i < count; i++) {
    const length = Math.floor(random() ** 3 * 60);
    yield Array.from({ length }, () => piece(pick, random)).join("");
  }
}

/** A seeded generator of 0 … 1, good enough to choose test data by. */
function mulberry32(seed: number): () => number {
  let state = seed;
  return () => {
    state = (state + 0x6d2b79f5) | 0;
    let t = Math.imul(state ^ (state >>> 15), 1 | state);
    t = (t + Math.imul(t ^ (t >>> 7), 61 | t)) ^ t;
    return ((t ^ (t >>> 14)) >>> 0) / 2 ** 32;
  };
}

function piece(pick: <T>(from: readonly T[]) => T, random: () => number): string {
  const kind = random();
  if (kind < 0.45) return pick(WORDS);
  if (kind < 0.7) return pick(GLUE);
  if (kind < 0.9) return pick(ODDITIES);
  const [first, last] = pick(RANGES);
  return String.fromCodePoint(first + Math.floor(random() * (last - first + 1)));
}

const WORDS = (
  "a an the cat photo photograph astronaut riding Horse painting of in on with Greg trending 4k 8K " +
  "HDR masterpiece highly-detailed it's they'RE I'm we'd you'll can't 've 'S 'T 'Ll rock'n'roll " +
  "2024 1,000 3.14 §5 C++ #art @you don''t naïve Ünïcödé ΣΑΣ Σ ΟΔΥΣΣΕΥΣ ς straße STRASSE ſtart K Å İstanbul ıI " +
  "北京 東京タワー 한국어 กำลัง हिन्दी العربية עברית Привет Ё e\u0301 Å q\u0307\u0323 supercalifragilisticexpialidocious " +
  "<|startoftext|> <|endoftext|> <|ENDOFTEXT|> <|StartOfText|> <|endoftext| |endoftext|> <|ſtartoftext|> <w> </w> a</w> ! !! !!! !?"
).split(" ");

const GLUE = [
  ...[" ", " ", " ", "  ", "\t", "\n", "\r\n", "\v", "\f", "", "", ",", ", ", ".", "-", "_", "'"],
  ...["\u0085", "\u00a0", "\u1680", "\u2003", "\u2028", "\u2029", "\u202f", "\u205f", "\u3000"],
];

const ODDITIES = [
  ...["\ufeff", "\u200b", "\u200d", "\u2060", "\u180e", "\u00ad", "\u0000", "\u0007", "\u001c"],
  ...["\u001f", "\u007f", "\u0080", "\u009f", "\ud800", "\udc00", "\ud83d", "\ufffd", "\uffff"],
  ...["\u0300", "\u0345", "\u0130", "\u0131", "\u017f", "\u212a", "\u212b", "\u1e9e", "\u00df"],
  ...["\u03a3", "\u03c2", "\u01c5", "\u2160", "\u24b6", "\u00b2", "\u00bd", "\u0660", "\u3007"],
  ...["\u{1f600}", "\u{1f468}\u200d\u{1f469}\u200d\u{1f467}", "\u{1f1e9}\u{1f1ea}", "\u2764\ufe0f"],
  ...[
    "\u1100\u1161\u11a8",
    "\uac00",
    "\u0344",
    "\u0958",
    "\u2126",
    "\ufb01",
    "\uff21",
    "\u{1d400}",
  ],
  ...["\u2018", "\u2019", "\u201c", "\u00e2\u20ac\u2122", "&amp;", "&lt;", "\u2026", "\u00b4"],
  ...["\u{10400}", "\u{e0041}", "\u{10fffd}", "\ue000", "\u0e33", "\u0f71\u0f72", "(((", "[x:1.2]"],
];

const RANGES: readonly (readonly [number, number])[] = [
  [0x00, 0xff],
  [0x100, 0x24f],
  [0x300, 0x36f],
  [0x391, 0x3ce],
  [0x400, 0x45f],
  [0x900, 0x97f],
  [0x1e00, 0x1eff],
  [0x1f00, 0x1f15],
  [0x2000, 0x206f],
  [0x2100, 0x218b],
  [0x2460, 0x24ff],
  [0x3041, 0x3096],
  [0x4e00, 0x9fcc],
  [0xac00, 0xd7a3],
  [0xf900, 0xfa6d],
  [0xff01, 0xffbe],
  [0x1d400, 0x1d454],
  [0x1f300, 0x1f64f],
];
