/**
 * A pull reader for JSON that must be exact: `JSON.parse` keeps the last of two equal keys and
 * rounds integers above 2^53 without a word, and both have been used to make one file mean two
 * things to two readers. Nothing is built that the caller does not ask for.
 */
import { DiffusionError } from "./errors.ts";

/** A place in a JSON text, and the number of list items and members read so far. */
export interface JsonCursor {
  readonly text: string;
  /** What the text is called in messages. */
  readonly source: string;
  at: number;
  items: number;
}

/**
 * Real headers hold some 10,000 items. A hostile one of 100 MB holds up to 50 million, and would
 * keep its reader busy for a minute: this bound, about 120,000 tensors, keeps it near a second.
 */
export const MAX_ITEMS = 1_000_000;

/** serde_json's limit: deeper texts are refused before they can exhaust the stack. */
const MAX_DEPTH = 128;

const QUOTE = 0x22;
const BACKSLASH = 0x5c;
const NUMBER = /-?(?:0|[1-9]\d*)(?:\.\d+)?(?:[eE][+-]?\d+)?/y;
const LITERALS = ["true", "false", "null"];

export function openJson(text: string, source: string): JsonCursor {
  return { text, source, at: 0, items: 0 };
}

/** Calls `onKey` at the value of each key; it must read that value. Equal keys throw. */
export function readObject(cursor: JsonCursor, onKey: (key: string) => void): void {
  const seen = new Set<string>();
  readSequence(cursor, "{", "}", () => {
    const at = cursor.at;
    const key = readString(cursor);
    if (seen.has(key)) throw jsonFault(cursor, `the key ${quoted(key)} stands twice`, at);
    seen.add(key);
    expect(cursor, ":");
    onKey(key);
  });
}

/** Calls `onItem` at each item; it must read that item. */
export function readArray(cursor: JsonCursor, onItem: () => void): void {
  readSequence(cursor, "[", "]", onItem);
}

/** A string literal, unescaped. A lone surrogate is no Unicode text and throws. */
export function readString(cursor: JsonCursor): string {
  expect(cursor, '"');
  const { text } = cursor;
  const start = cursor.at;
  let escaped = false;
  let at = start;
  for (let code = text.charCodeAt(at); code !== QUOTE; code = text.charCodeAt(++at)) {
    // NaN, beyond the end of the text, is not >= 0x20 either.
    if (!(code >= 0x20)) throw jsonFault(cursor, "a string is not closed", start - 1);
    if (code !== BACKSLASH) continue;
    escaped = true;
    at += 1;
  }
  cursor.at = at + 1;
  const raw = text.slice(start, at);
  return escaped ? unescapeString(cursor, raw, start - 1) : raw;
}

/**
 * A number: its value if it is written as a plain integer from 0 to 2^53-1, otherwise undefined
 * (negative, with a fraction or an exponent, or too large to be exact).
 */
export function readCount(cursor: JsonCursor): number | undefined {
  skipSpace(cursor);
  NUMBER.lastIndex = cursor.at;
  const literal = NUMBER.exec(cursor.text)?.[0];
  if (literal === undefined) throw jsonFault(cursor, "a number was expected");
  cursor.at += literal.length;
  const value = /^\d+$/.test(literal) ? Number(literal) : Number.NaN;
  return Number.isSafeInteger(value) ? value : undefined;
}

/** Reads over any value; equal keys inside it throw too. */
export function skipValue(cursor: JsonCursor, depth = 0): void {
  if (depth > MAX_DEPTH) throw jsonFault(cursor, `it is nested deeper than ${MAX_DEPTH}`);
  const inner = () => skipValue(cursor, depth + 1);
  const next = peek(cursor);
  if (next === "{") readObject(cursor, inner);
  else if (next === "[") readArray(cursor, inner);
  else if (next === '"') readString(cursor);
  else if (!skipLiteral(cursor)) readCount(cursor);
}

/** The next character that is not white space, or "" at the end. */
export function peek(cursor: JsonCursor): string {
  skipSpace(cursor);
  return cursor.text.charAt(cursor.at);
}

/** Throws unless only white space is left. */
export function expectEnd(cursor: JsonCursor): void {
  if (peek(cursor) !== "") throw jsonFault(cursor, "text follows the closing brace");
}

/** A `WEIGHTS_HEADER` error that says where in the text it is. */
export function jsonFault(cursor: JsonCursor, what: string, at = cursor.at): DiffusionError {
  return new DiffusionError(
    "WEIGHTS_HEADER",
    `${cursor.source}: the header is not valid: ${what}, at character ${at} of ${cursor.text.length}`,
  );
}

/** A name fit for a message: a hostile file may hold a name of 10 MB, or one that has line feeds. */
export function quoted(name: string): string {
  return JSON.stringify(name.length > 100 ? `${name.slice(0, 100)}…` : name);
}

function readSequence(cursor: JsonCursor, open: string, close: string, onItem: () => void): void {
  expect(cursor, open);
  if (peek(cursor) === close) {
    cursor.at += 1;
    return;
  }
  do {
    cursor.items += 1;
    if (cursor.items > MAX_ITEMS) throw jsonFault(cursor, `it has more than ${MAX_ITEMS} items`);
    onItem();
  } while (tryTake(cursor, ","));
  expect(cursor, close);
}

function expect(cursor: JsonCursor, wanted: string): void {
  if (!tryTake(cursor, wanted)) throw jsonFault(cursor, `${quoted(wanted)} was expected`);
}

function tryTake(cursor: JsonCursor, wanted: string): boolean {
  if (peek(cursor) !== wanted) return false;
  cursor.at += 1;
  return true;
}

function skipSpace(cursor: JsonCursor): void {
  const { text } = cursor;
  for (;;) {
    const code = text.charCodeAt(cursor.at);
    if (code !== 0x20 && code !== 0x0a && code !== 0x0d && code !== 0x09) return;
    cursor.at += 1;
  }
}

function skipLiteral(cursor: JsonCursor): boolean {
  const literal = LITERALS.find((word) => cursor.text.startsWith(word, cursor.at));
  cursor.at += literal?.length ?? 0;
  return literal !== undefined;
}

function unescapeString(cursor: JsonCursor, raw: string, at: number): string {
  try {
    const value = JSON.parse(`"${raw}"`) as string;
    if (value.isWellFormed()) return value;
  } catch {
    // The fault is the same one: an escape that JSON does not know.
  }
  throw jsonFault(cursor, "a string has an escape that is not valid", at);
}
