/**
 * Prompts that change on the way, as AUTOMATIC1111's webui reads them: `[from:to:when]`, `[to:when]`,
 * `[from::when]` and `[a|b|…]`.
 */
import { parseSchedule, type Scheduled } from "./schedule-parser.ts";

/** The text that is in force up to a step, that step included. */
export interface ScheduledText {
  readonly end: number;
  readonly text: string;
}

/**
 * The texts of a run of `steps` steps, the last one's end being `steps` (webui:
 * `get_learned_conditioning_prompt_schedules`). `when` with a point is a fraction of the steps, without
 * one a step; `[a|b]` takes turns step by step. A prompt that does not parse is one text, as it stands.
 */
export function promptSchedule(prompt: string, steps: number): ScheduledText[] {
  const tree = parseSchedule(prompt);
  if (tree === undefined) return [{ end: steps, text: prompt }];
  const ends = new Set([steps]);
  collectEnds(tree, steps, ends);
  return [...ends].sort((a, b) => a - b).map((end) => ({ end, text: textAt(tree, end, steps) }));
}

/** The number of the entry in force at a call of the UNet, from 0: webui counts calls from 0, ends from 1. */
export function entryAt(schedule: readonly ScheduledText[], call: number): number {
  return Math.max(
    0,
    schedule.findIndex(({ end }) => call <= end),
  );
}

function collectEnds(tree: Scheduled, steps: number, ends: Set<number>): void {
  for (const node of tree) {
    if (typeof node === "string") continue;
    if ("options" in node) for (let step = 1; step <= steps; step++) ends.add(step);
    else if (lastStep(node.when, steps) >= 1) ends.add(lastStep(node.when, steps));
    const inner = "options" in node ? node.options : [node.before, node.after];
    for (const part of inner) collectEnds(part, steps, ends);
  }
}

function textAt(tree: Scheduled, step: number, steps: number): string {
  const text = (node: Scheduled[number]): string => {
    if (typeof node === "string") return node;
    if ("options" in node)
      return textAt(node.options[(step - 1) % node.options.length]!, step, steps);
    return textAt(step <= lastStep(node.when, steps) ? node.before : node.after, step, steps);
  };
  return tree.map(text).join("");
}

/** The last step of what stands before a change. */
function lastStep(when: string, steps: number): number {
  const value = when.includes(".") ? Number(when) * steps : Number(when);
  return Math.min(steps, Math.trunc(value));
}
