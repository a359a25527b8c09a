import assert from "node:assert/strict";
import { DiffusionError } from "../../engine/errors.ts";
import { knownWords, unknownWords, unknownWordsWarning } from "../../model/known-words.ts";

describe("known words", () => {
  const known = knownWords({ known_words: ["a", "red", "cube", "on", "grass"] });

  it("finds each word that is not known once, whatever its case and the marks around it", () => {
    const found = unknownWords(["A Red CUBE, on Mars!", "mars (ünder) grass 42"], known!);
    assert.deepEqual(found, ["mars", "ünder", "42"]);
  });

  it("says nothing of a checkpoint that lists no words, nor of a prompt that is all known", () => {
    assert.equal(knownWords({ model_max_length: 77 }), undefined);
    assert.equal(unknownWordsWarning(["anything"], undefined), undefined);
    assert.equal(unknownWordsWarning(["a red cube", ""], known), undefined);
  });

  it("names the words in its warning, quoted, so that none can pass for the tool's own text", () => {
    const warning = unknownWordsWarning(['a "blue" dog'], known) ?? "";
    assert.match(warning, /lacks "blue", "dog"/);
  });

  it("refuses a list that is none", () => {
    for (const known_words of ["red", [1], {}]) {
      assert.throws(
        () => knownWords({ known_words }),
        (e) => e instanceof DiffusionError && e.code === "TOKENIZER",
      );
    }
  });
});
