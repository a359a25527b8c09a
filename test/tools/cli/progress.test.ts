import assert from "node:assert/strict";
import { barLine, createProgress } from "../../../tools/cli/progress.ts";

const event = { step: 2, steps: 10, timestep: 500, elapsedMs: 3000, etaMs: 17_000 };
const terminal = { columns: () => 200, color: false };

describe("progress", () => {
  it("counts steps, and of the one at work the tiles that are done", () => {
    assert.match(barLine(event, terminal), /^step 2\/10 █{6}░{24} 1\.50 s\/it {2}ETA 00:17$/);
    const half = { ...event, tile: 2, tiles: 4 };
    assert.match(
      barLine(half, terminal),
      /^step 2\/10 tile 2\/4 █{5}░{25} 2\.00 s\/it {2}ETA 00:17$/,
    );
  });

  it("is a line at the first tile and at every tenth where nothing can be redrawn", () => {
    const lines: string[] = [];
    const err = (text: string) => void lines.push(text);
    const plain = { ...terminal, err, out: err, errIsTerminal: false, outIsTerminal: false };
    const progress = createProgress(plain, false);
    for (let step = 1; step <= 5; step++)
      for (const tile of [1, 2, 3, 4]) progress.step({ ...event, step, steps: 5, tile, tiles: 4 });
    assert.equal(lines.length, 11);
    assert.match(lines[0]!, /^step 1\/5 tile 1\/4 /);
    assert.match(lines.at(-1)!, /^step 5\/5 tile 4\/4 /);
  });
});
