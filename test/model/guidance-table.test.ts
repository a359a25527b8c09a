import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { guidanceSchedule, guidanceTable } from "../../model/guidance-table.ts";
import { GUIDANCE_COLUMNS } from "../../shaders/guidance.ts";

type Interval = { start: number; stop: number; steps: number; guided: boolean[] };

const intervals: Interval[] = JSON.parse(
  readFileSync(new URL("../fixtures/guidance.json", import.meta.url), "utf8"),
).interval;

describe("guidanceSchedule", () => {
  for (const { start, stop, steps, guided } of intervals) {
    it(`guides the steps of ${start} to ${stop} of ${steps} that diffusers guides`, () => {
      const scales = guidanceSchedule(steps, { scale: 7.5, start, stop });
      assert.deepEqual(
        scales,
        guided.map((on) => (on ? 7.5 : 1)),
      );
    });
  }

  it("rises in a line or half a wave, to the scale in the last step that is guided", () => {
    assert.deepEqual(guidanceSchedule(5, { scale: 9, schedule: "linear" }), [1, 3, 5, 7, 9]);
    const wave = guidanceSchedule(5, { scale: 9, schedule: "cosine" });
    [1, 5 - 4 * Math.SQRT1_2, 5, 5 + 4 * Math.SQRT1_2, 9].forEach((scale, i) => {
      assert.ok(Math.abs(wave[i]! - scale) < 1e-12);
    });
    const inside = { scale: 5, schedule: "linear", start: 0.25, stop: 0.75 } as const;
    assert.deepEqual(guidanceSchedule(8, inside), [1, 1, 1, 1 + 4 / 3, 1 + 8 / 3, 5, 1, 1]);
    assert.deepEqual(guidanceSchedule(1, { scale: 9, schedule: "linear" }), [9]);
  });

  it("falls where it starts above the scale", () => {
    const falling = { from: 10, scale: 2, schedule: "linear" } as const;
    assert.deepEqual(guidanceSchedule(5, falling), [10, 8, 6, 4, 2]);
  });

  it("takes a scale for each step, within the interval", () => {
    const schedule = [8, 7, 6, 5];
    assert.deepEqual(guidanceSchedule(4, { scale: 0, schedule }), schedule);
    assert.deepEqual(guidanceSchedule(4, { scale: 0, schedule, start: 0.5 }), [1, 1, 6, 5]);
  });

  it("refuses what makes no sense", () => {
    const wrong: [Parameters<typeof guidanceSchedule>[1], RegExp][] = [
      [{ scale: Number.NaN }, /scale NaN/],
      [{ scale: -1 }, /scale -1/],
      [{ scale: 2, start: -0.1 }, /interval -0.1 to 1/],
      [{ scale: 2, start: 0.6, stop: 0.4 }, /interval 0.6 to 0.4/],
      [{ scale: 2, stop: 1.5 }, /interval 0 to 1.5/],
      [{ scale: 2, schedule: [1, 2] }, /2 scales for 3 steps/],
      [{ scale: 2, schedule: [1, 2, Number.POSITIVE_INFINITY] }, /schedule Infinity/],
      [{ scale: 2, schedule: "toString" as "linear" }, /"toString" is unknown/],
    ];
    for (const [options, message] of wrong) {
      assert.throws(() => guidanceSchedule(3, options), { code: "BAD_REQUEST", message });
    }
  });
});

describe("guidanceTable", () => {
  it("holds a row for each evaluation, as the kernels read it", () => {
    const table = guidanceTable(64, {
      scales: [7.5, 1],
      rescale: 0.5,
      clean: [
        { x: 2, output: -3 },
        { x: 4, output: -5, change: -0.05 },
      ],
      thresholding: { kind: "dynamic", ratio: 0.75, maxValue: 1.5 },
    });
    // 0.75 of ranks 0..255 is 191.25; m goes all the way, or a quarter of it.
    const rest = [0.5, 1.5, 191, 0.25];
    assert.deepEqual([...table], [7.5, 2, -3, 1, ...rest, 1, 4, -5, 0.25, ...rest]);
    assert.equal(table.length, 2 * GUIDANCE_COLUMNS);
  });

  it("ranks the pixels of a channel to mimic, and mimics no scale above the step's own", () => {
    const table = guidanceTable(65, {
      scales: [20, 3],
      clean: [
        { x: 1, output: 0 },
        { x: 1, output: 0 },
      ],
      thresholding: { kind: "mimic", ratio: 0.5, scale: 5 },
    });
    assert.deepEqual([table[3], table[GUIDANCE_COLUMNS + 3]], [5, 3]);
    assert.deepEqual([table[6], table[7]], [32, 0]);
  });

  it("refuses numbers out of range, and thresholding of an unknown x0", () => {
    const scales = [7.5];
    const clean = [{ x: 1, output: -1 }];
    const dynamic = (more: object) => ({
      scales,
      clean,
      thresholding: { kind: "dynamic", ...more } as const,
    });
    const wrong: [Parameters<typeof guidanceTable>[1], RegExp][] = [
      [{ scales, rescale: 1.1 }, /rescale 1.1/],
      [{ scales: [-2] }, /scale -2/],
      [{ scales, thresholding: { kind: "dynamic" } }, /x0 of 1 evaluations, got none/],
      [dynamic({ ratio: 2 }), /ratio 2/],
      [dynamic({ maxValue: 0.5 }), /maxValue 0.5/],
      [dynamic({ maxValue: Number.POSITIVE_INFINITY }), /maxValue Infinity/],
      [dynamic({ kind: "mimic", scale: -1 }), /mimic -1/],
    ];
    for (const [options, message] of wrong) {
      assert.throws(() => guidanceTable(4, options), { code: "BAD_REQUEST", message });
    }
  });
});
