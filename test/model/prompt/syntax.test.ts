import assert from "node:assert/strict";
import { parsePromptAttention } from "../../../model/prompt/attention.ts";
import { combineGuidance, splitComposition } from "../../../model/prompt/compose.ts";
import { entryAt, promptSchedule } from "../../../model/prompt/schedule.ts";
import { vectors } from "../../support/prompts.ts";

const named = (text: string) => JSON.stringify(text.slice(0, 60));

describe("emphasis, as the webui reads it", () => {
  for (const { text, pieces } of vectors.emphasis) {
    it(named(text), () => {
      const ours = parsePromptAttention(text).map(({ text, weight }) => [text, weight]);
      assert.deepEqual(ours, pieces);
    });
  }

  it("refuses a weight that is no number", () => {
    for (const text of ["(a:1.2.3)", "(a:.)", "(a:+..)"]) {
      const fault = { code: "BAD_REQUEST", message: /weight/, hint: /\(word:1\.3\)/ };
      assert.throws(() => parsePromptAttention(text), fault);
    }
    assert.deepEqual(parsePromptAttention("a:1.2.3)"), [{ text: "a:1.2.3)", weight: 1 }]);
  });
});

describe("AND, as the webui reads it", () => {
  for (const { text, parts } of vectors.composition) {
    it(named(text), () => {
      const ours = splitComposition(text).map(({ text, weight }) => [text, weight]);
      assert.deepEqual(ours, parts);
    });
  }
});

describe("schedules, as the webui reads them", () => {
  for (const { text, steps, schedule } of vectors.schedules) {
    it(`${named(text)} in ${steps} steps`, () => {
      const ours = promptSchedule(text, steps).map(({ end, text }) => [end, text]);
      assert.deepEqual(ours, schedule);
    });
  }

  for (const { text, steps, uses } of vectors.uses) {
    it(`${named(text)}: the entry at each call`, () => {
      const schedule = promptSchedule(text, steps);
      assert.deepEqual(
        uses.map((_, call) => entryAt(schedule, call)),
        uses,
      );
    });
  }

  it("keep a changing part that touches brackets which are never closed", () => {
    const ends = (text: string) => promptSchedule(text, 10).map(({ text }) => text);
    assert.deepEqual(ends("[a:b:3]]]("), ["a]](", "b]]("]);
    assert.deepEqual(ends("[[:[a:b:3][("), ["[[:a[(", "[[:b[("]);
  });

  it("read 2,000 brackets in each other", () => {
    const deep = `${"[".repeat(1990)}a:b:3]${"]".repeat(1989)}`;
    assert.deepEqual(
      promptSchedule(deep, 10).map(({ end }) => end),
      [3, 10],
    );
    assert.equal(promptSchedule("[".repeat(4000), 10)[0]!.text.length, 4000);
    assert.equal(promptSchedule("[a:".repeat(1300), 10).length, 1);
  });
});

describe("the guidance of several conditions", () => {
  const u = [1, -2, 0.5];
  const [a, b] = [
    [2, 0, 0.25],
    [0, -1, 4],
  ] as const;

  it("adds what each condition changes, times its weight and the scale", () => {
    const ours = combineGuidance(u, [a, b], [1, -0.5], 4);
    assert.deepEqual([...ours], [1 + 4 + 2, -2 + 8 - 2, 0.5 - 1 - 7]);
  });

  it("of one condition is classifier-free guidance", () => {
    assert.deepEqual([...combineGuidance(u, [a], [1], 7.5)], [8.5, 13, -1.375]);
    assert.deepEqual([...combineGuidance(u, [a], [1], 1)], [...a]);
  });
});
