import assert from "node:assert/strict";
import type { DiffusionError } from "../../../engine/errors.ts";
import { isSheet, labelsOf, planSheet, type SheetRequest } from "../../../model/sheet/axes.ts";

const plan = (lists: Partial<SheetRequest>) => planSheet({ prompt: "x", seed: 1, ...lists });
const labels = (lists: Partial<SheetRequest>) => {
  const made = plan(lists);
  return made.cells.map(({ request }) => labelsOf(made, request));
};

describe("the cells of a sheet", () => {
  it("of one list are wrapped into rows, in its order", () => {
    const { rows, columns, cells } = plan({ guidanceScale: [1.5, 2, 3, 4, 5, 6, 7, 8] });
    assert.deepEqual([rows, columns], [2, 4]);
    assert.deepEqual(
      cells.map(({ row, column, request }) => [row, column, request.guidanceScale]),
      [1.5, 2, 3, 4, 5, 6, 7, 8].map((scale, i) => [Math.floor(i / 4), i % 4, scale]),
    );
    assert.deepEqual(labels({ guidanceScale: [1.5] }), [["guidance 1.5"]]);
  });

  it("leave few places empty, and are at most twice as wide as high", () => {
    const columns = (count: number) =>
      plan({ seed: Array.from({ length: count }, (_, i) => i) }).columns;
    assert.deepEqual(
      [1, 2, 3, 4, 5, 6, 7, 9, 10, 12, 16].map(columns),
      [1, 2, 3, 2, 3, 3, 4, 3, 5, 4, 4],
    );
  });

  it("of two lists are rows and columns: schedulers and seeds down, guidance across", () => {
    const lists = { guidanceScale: [2, 7.5], scheduler: ["ddim", "euler", "unipc"] };
    const { rows, columns } = plan(lists);
    assert.deepEqual([rows, columns], [3, 2]);
    assert.deepEqual(labels(lists).slice(1, 3), [
      ["ddim", "guidance 7.5"],
      ["euler", "guidance 2"],
    ]);
    assert.deepEqual(labels({ steps: [1, 20], seed: [3, 4] })[1], ["seed 3", "20 steps"]);
  });

  it("of more lists have every combination, all but the last list down", () => {
    const lists = {
      scheduler: ["ddim", "euler"],
      seed: [1, 2],
      steps: [3, 4],
      guidanceScale: [5, 6],
    };
    const { rows, columns } = plan(lists);
    assert.deepEqual([rows, columns], [8, 2]);
    assert.deepEqual(labels(lists)[5], ["ddim", "seed 2", "3 steps", "guidance 6"]);
    assert.equal(new Set(labels(lists).map((each) => each.join())).size, 16);
  });

  it("share a seed where none is named, and a random one of a list is the same in its row", () => {
    const random = planSheet({ prompt: "x", steps: [1, 2] }).cells.map((cell) => cell.request.seed);
    assert.ok(Number.isSafeInteger(random[0]) && random[0] === random[1]);
    const { cells } = plan({ seed: [-1, -1, 5], steps: [1, 2] });
    const seeds = cells.map(({ request }) => request.seed);
    assert.deepEqual([seeds[0], seeds[2], seeds[5]], [seeds[1], seeds[3], 5]);
    assert.notEqual(seeds[0], seeds[2]);
  });

  it("are those of a request with a list, also of one value", () => {
    assert.ok(isSheet({ steps: [3] }) && isSheet({ seed: [] }));
    assert.ok(!isSheet({ steps: 3, timesteps: [9, 5] }));
    assert.deepEqual(labels({ steps: [1] }), [["1 step"]]);
  });

  it("are refused where the lists make none", () => {
    const many = Array.from({ length: 17 }, (_, i) => i + 1);
    for (const [lists, message] of [
      [{}, /a sheet needs a list/],
      [{ steps: [] }, /steps: the list is empty/],
      [{ scheduler: ["ddim", "ddim"] }, /scheduler: "ddim" is in the list twice/],
      [{ steps: many, seed: many }, /at most 256 pictures \(got 289\)/],
      [{ seed: [1, -2] }, /seed must be/],
      [{ steps: [1], numImages: 2 }, /one picture for each.*got numImages 2/],
      [{ steps: [1], perImageSeeds: true }, /no perImageSeeds/],
      [{ steps: [1], output: "latent" }, /no latents/],
    ] as const) {
      assert.throws(
        () => plan(lists as Partial<SheetRequest>),
        (error: DiffusionError) => error.code === "BAD_REQUEST" && message.test(error.message),
      );
    }
  });
});
