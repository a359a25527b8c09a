import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { createTokenizer } from "../../model/tokenizer.ts";
import { CLIP_TOKENS, clipVocabulary } from "../../model/vocabulary.ts";

interface Prompts {
  readonly vocab: Readonly<Record<string, number>>;
  readonly prompts: readonly { text: string; ids: number[]; lost: string }[];
}

/** Ids by Hugging Face's tokenizer with the whole of CLIP's vocabulary. */
const golden: Prompts = JSON.parse(
  readFileSync(new URL("../fixtures/tokenizer/clip-prompts.json", import.meta.url), "utf8"),
);

describe("CLIP's vocabulary for single files", () => {
  it("has 49408 tokens and 48894 merges, with CLIP's ids", async () => {
    const { vocab, merges } = await clipVocabulary();
    const ids = new Map(Object.entries(vocab as Record<string, number>));
    assert.equal(ids.size, CLIP_TOKENS);
    assert.equal(merges?.split("\n").length, 48894);
    for (const [token, id] of Object.entries(golden.vocab)) assert.equal(ids.get(token), id, token);
    assert.deepEqual(
      [ids.get("<|startoftext|>"), ids.get("<|endoftext|>"), ids.get("!")],
      [49406, 49407, 0],
    );
  });

  it("gives Hugging Face's ids for the golden prompts, padded with 0", async () => {
    const tokenizer = createTokenizer(await clipVocabulary());
    for (const { text, ids, lost } of golden.prompts) {
      const encoding = tokenizer.encode(text);
      assert.deepEqual([...encoding.ids], [...ids, ...Array(77 - ids.length).fill(0)], text);
      assert.equal(encoding.truncated, lost);
    }
  });
});
