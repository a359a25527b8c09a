/**
 * The brackets of a prompt that changes on the way. A pair of brackets means something if what is between
 * them is well-formed; every other bracket and colon is text. A `|` that is no alternation, or a lone
 * backslash, makes a prompt that does not parse.
 */
import { SPACE } from "./python.ts";

/** Text, and what changes inside it. */
export type Scheduled = readonly (string | Change | Alternation)[];

/** `before` up to a step, then `after`. `when` is as it was written. */
interface Change {
  readonly before: Scheduled;
  readonly after: Scheduled;
  readonly when: string;
}

/** One of them each step, in turn. */
interface Alternation {
  readonly options: readonly Scheduled[];
}

const TOKENS = /[()[\]:|]|(?:[^\\()[\]:|]|\\[^\n])+|\\/gu;
const NUMBER = "[+-]?(?:[0-9]+\\.?[0-9]*|\\.[0-9]+)(?:[eE][+-]?[0-9]+)?";
const WHEN = new RegExp(`^[${SPACE}]*(${NUMBER})[${SPACE}]*$`, "u");

/** What is between a bracket and the next, while it is not closed. */
interface Level {
  readonly open: string;
  /** Parts between separators; those are ":" and "|". */
  readonly parts: Scheduled[number][][];
  readonly separators: string[];
  /** Something inside is text that may only stand outside of all brackets. */
  literal: boolean;
}

/** The tree of a prompt; undefined if it does not parse. */
export function parseSchedule(prompt: string): Scheduled | undefined {
  const levels: Level[] = [level("")];
  for (const [token] of prompt.matchAll(TOKENS)) {
    if (token === "\\") return undefined;
    const top = levels.at(-1)!;
    if (token === "(" || token === "[") levels.push(level(token));
    else if (token === ":" || token === "|") separate(top, token);
    else if (token === ")" || token === "]") close(levels, token);
    else top.parts.at(-1)!.push(token);
  }
  while (levels.length > 1) spill(levels, "");
  const { parts, separators } = levels[0]!;
  return separators.includes("|") ? undefined : withSeparators(parts, separators);
}

function level(open: string): Level {
  return { open, parts: [[]], separators: [], literal: false };
}

function separate(top: Level, separator: string): void {
  top.separators.push(separator);
  top.parts.push([]);
}

/** Ends the innermost level if the bracket fits it; else no bracket that is open can ever be closed. */
function close(levels: Level[], bracket: string): void {
  const top = levels.at(-1)!;
  const fits = top.open === (bracket === ")" ? "(" : "[");
  const meaning = fits && !top.literal ? meaningOf(top, bracket) : undefined;
  if (meaning !== undefined) {
    levels.pop();
    levels
      .at(-1)!
      .parts.at(-1)!
      .push(...meaning);
  } else if (fits) spill(levels, bracket);
  else {
    while (levels.length > 1) spill(levels, "");
    levels[0]!.parts.at(-1)!.push(bracket);
  }
}

/** What a closed pair of brackets stands for; undefined if nothing. */
function meaningOf({ open, parts, separators }: Level, bracket: string): Scheduled | undefined {
  const colons = separators.filter((separator) => separator === ":").length;
  const pipes = separators.length - colons;
  if (pipes === 0 && colons <= (open === "(" ? 1 : 0)) {
    return [open, ...withSeparators(parts, separators), bracket];
  }
  if (open === "(") return undefined;
  if (colons === 0) return [{ options: parts }];
  const [when] = parts.at(-1)!;
  const number = parts.at(-1)!.length === 1 && typeof when === "string" && WHEN.exec(when)?.[1];
  if (pipes > 0 || colons > 2 || !number) return undefined;
  return [{ before: colons === 2 ? parts[0]! : [], after: parts.at(-2)!, when: number }];
}

/** Ends the innermost level as text of the one around it, which is then no meaning either. */
function spill(levels: Level[], bracket: string): void {
  const { open, parts, separators } = levels.pop()!;
  const around = levels.at(-1)!;
  around.literal = true;
  around.parts.at(-1)!.push(open, ...parts[0]!);
  separators.forEach((separator, i) => {
    separate(around, separator);
    around.parts.at(-1)!.push(...parts[i + 1]!);
  });
  if (bracket) around.parts.at(-1)!.push(bracket);
}

function withSeparators(parts: readonly Scheduled[], separators: readonly string[]): Scheduled {
  return parts.flatMap((part, i) => (i > 0 ? [separators[i - 1]!, ...part] : part));
}
