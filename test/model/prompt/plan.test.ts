import assert from "node:assert/strict";
import { promptChunks } from "../../../model/prompt/chunks.ts";
import { type PromptOptions, planPrompt } from "../../../model/prompt/plan.ts";
import { tinyTokenizer, vectors } from "../../support/prompts.ts";

const tokenizer = tinyTokenizer();
const TOKENS = 77;
const A1111 = { syntax: "a1111", tokens: TOKENS } as const;

const filled = (values: readonly number[], filler: number) => [
  ...values.map(Math.fround),
  ...Array<number>(TOKENS - values.length).fill(filler),
];

describe("chunks, as the webui cuts them", () => {
  for (const { text, ids, weights } of vectors.chunks) {
    it(`${JSON.stringify(text.slice(0, 60))}: ${ids.length}`, () => {
      const chunks = promptChunks(text, tokenizer, TOKENS);
      assert.deepEqual(
        chunks.map((chunk) => [...chunk.ids]),
        ids.map((row) => filled(row, 0)),
      );
      assert.deepEqual(
        chunks.map((chunk) => [...chunk.weights]),
        weights.map((row) => filled(row, 1)),
      );
    });
  }

  it("refuse weights beyond ±100, those of nested brackets too", () => {
    for (const text of ["(a:100.5)", "(a:-101)", "((a:11):11)", `${"(".repeat(60)}a`]) {
      const fault = { code: "BAD_REQUEST", message: /between -100 and 100/ };
      assert.throws(() => promptChunks(text, tokenizer, TOKENS), fault);
    }
    assert.equal(promptChunks("(a:100) (b:-100)", tokenizer, TOKENS).length, 1);
  });
});

describe("planPrompt", () => {
  const plan = (prompt: string, negative = "", options: Partial<PromptOptions> = {}) =>
    planPrompt(prompt, negative, 10, tokenizer, { ...A1111, ...options });
  /** The first ids of an encoding's chunks, as a tokenizer gives them. */
  const encodingOf = (made: ReturnType<typeof plan>, index: number) =>
    [...made.ids].slice(index * made.chunks * TOKENS, (index + 1) * made.chunks * TOKENS);
  const plainIds = (text: string) => [...tokenizer.encode(text, TOKENS).ids];

  it("in plain syntax takes brackets and AND as they stand, cuts, and warns", () => {
    const prompt = `(a:1.3) [b:c:3] AND d BREAK ${"e ".repeat(80)}`;
    const made = plan(prompt, "no", { syntax: "plain" });
    assert.deepEqual(encodingOf(made, 1), plainIds(prompt));
    assert.deepEqual(encodingOf(made, 0), plainIds("no"));
    assert.deepEqual(made.negative, { weight: 1, uses: Array(10).fill(0) });
    assert.deepEqual(made.positive, [{ weight: 1, uses: Array(10).fill(1) }]);
    assert.deepEqual([made.chunks, made.encodings, made.shares], [1, 2, undefined]);
    assert.equal(made.warnings.length, 1);
    assert.match(made.warnings[0]!, /longer than 77 tokens; .*"e e/);
  });

  it("tells the words from the marks round them", () => {
    const prompt = "a (red:1.2) [cube:ball:0.5] BREAK on [x|y] AND z :2";
    const { pieces } = plan(prompt, "[b:c:2] AND");
    const words = new Set(pieces.join(" ").split(/\W+/).filter(Boolean));
    assert.deepEqual([...words].sort(), [
      "AND",
      "a",
      "b",
      "ball",
      "c",
      "cube",
      "on",
      "red",
      "x",
      "y",
      "z",
    ]);
  });

  it("gives the same ids in both syntaxes for a short prompt without marks", () => {
    const [a, b] = [plan("a red cat, on a table"), plan("a red cat, on a table", "")];
    const plain = plan("a red cat, on a table", "", { syntax: "plain" });
    assert.deepEqual(a, b);
    assert.deepEqual(a, plain);
  });

  it("encodes each distinct text once and says which is in force", () => {
    const made = plan("[a|b] cat", "[dog:fish:3]");
    assert.equal(made.encodings, 4);
    assert.deepEqual(made.negative!.uses, [0, 0, 0, 0, 1, 1, 1, 1, 1, 1]);
    assert.deepEqual(made.positive[0]!.uses, [2, 2, 3, 2, 3, 2, 3, 2, 3, 2]);
    ["dog", "fish", "a cat", "b cat"].forEach((text, i) => {
      assert.deepEqual(encodingOf(made, i), plainIds(text));
    });
  });

  it("keeps the last text for evaluations beyond the steps", () => {
    assert.deepEqual(
      plan("[a:b:8]", "", { evaluations: 11 }).positive[0]!.uses,
      [1, 1, 1, 1, 1, 1, 1, 1, 1, 2, 2],
    );
  });

  it("makes a track of each part between ANDs, equal ones from the same encoding", () => {
    const made = plan("cat:2 AND dog AND cat AND dog:-0.5", "cat");
    assert.deepEqual(
      made.positive.map(({ weight, uses }) => [weight, uses[0]]),
      [
        [2, 0],
        [1, 1],
        [1, 2],
        [-0.5, 1],
      ],
    );
    // The webui keeps the space before a part, so "cat" and " cat" are two texts of the same ids.
    assert.deepEqual(encodingOf(made, 2), encodingOf(made, 0));
  });

  it("fills shorter texts up with the chunk of an empty text", () => {
    const made = plan("a BREAK b BREAK c", "no");
    assert.equal(made.chunks, 3);
    assert.deepEqual(encodingOf(made, 0), ["no", "", ""].flatMap(plainIds));
    assert.deepEqual(encodingOf(made, 1), ["a", "b", "c"].flatMap(plainIds));
  });

  it("shares the mean among the texts of one schedule, chunk by chunk", () => {
    const { shares, weights } = plan("[(a:1.5)|b|a] BREAK c", "no");
    // 2 chunks each: the negative; then three texts, which are in force 4, 3 and 3 times of 10.
    const row = (index: number) => [...shares!.slice(8 * index, 8 * index + 8)];
    const f = Math.fround;
    assert.equal(shares!.length, 64);
    assert.deepEqual(row(0), [1, 0, 0, 0, 0, 0, 0, 0]);
    assert.deepEqual(row(1), [0, 1, 0, 0, 0, 0, 0, 0]);
    for (const index of [2, 4, 6]) {
      assert.deepEqual(row(index), [0, 0, f(0.4), 0, f(0.3), 0, f(0.3), 0]);
      assert.deepEqual(row(index + 1), [0, 0, 0, f(0.4), 0, f(0.3), 0, f(0.3)]);
    }
    assert.deepEqual([...weights.slice(2 * TOKENS, 2 * TOKENS + 3)], [1, 1.5, 1]);
  });

  it("leaves the negative out without guidance, unless the prompt is made of parts", () => {
    assert.equal(plan("a", "b", { guided: false }).negative, undefined);
    assert.equal(plan("a", "b", { guided: false }).encodings, 1);
    assert.ok(plan("a AND c", "b", { guided: false }).negative);
    assert.ok(plan("a :2", "b", { guided: false }).negative);
    assert.equal(plan("a AND c", "b", { guided: false, syntax: "plain" }).negative, undefined);
  });

  it("refuses more than 40 chunks in all, and weights of parts beyond ±100", () => {
    const fault = { code: "BAD_REQUEST", message: /2 texts of up to 21 chunks, 42 in all/ };
    assert.throws(() => plan(`${"BREAK ".repeat(20)}a`), fault);
    assert.equal(plan(`${"BREAK ".repeat(19)}a`).chunks, 20);
    assert.throws(() => plan("a :101 AND b"), {
      code: "BAD_REQUEST",
      message: /the weight of "a"/,
    });
  });
});
