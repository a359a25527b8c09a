import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { Tokenizer as RustTokenizer } from "tokenizers";
import { createTokenizer } from "../../model/tokenizer.ts";
import type { TokenizerFiles } from "../../model/tokenizer-files.ts";
import { oddTexts } from "../support/odd-text.ts";

const text = (name: string) =>
  readFileSync(new URL(`../fixtures/tokenizer/${name}`, import.meta.url), "utf8");

const START = "<|startoftext|>";
const END = "<|endoftext|>";

/** What SD2's folders write: marks as objects, "!" as the pad token in the map alone. */
const mark = (content: string, normalized = true) => ({ content, normalized });
const specials = (normalized: boolean) => ({
  bos_token: mark(START, normalized),
  eos_token: mark(END, normalized),
  unk_token: mark(END, normalized),
  pad_token: "!",
});
const small: TokenizerFiles = {
  vocab: text("vocab.json"),
  merges: text("merges.txt"),
  specialTokensMap: specials(true),
  tokenizerConfig: { model_max_length: 77, pad_token: END },
};

type Prompts = {
  vocab: Record<string, number>;
  merges: string[];
  prompts: { text: string; ids: number[]; lost: string }[];
};
const clip: Prompts = JSON.parse(text("clip-prompts.json"));
const clipFiles: TokenizerFiles = {
  vocab: clip.vocab,
  merges: clip.merges.join("\n"),
  specialTokensMap: { bos_token: START, eos_token: END, unk_token: END, pad_token: "!" },
};

const idsOf = (tokenizer: ReturnType<typeof createTokenizer>, prompt: string, length = 4096) => {
  const { ids, count } = tokenizer.encode(prompt, length);
  return [...ids.slice(0, count)];
};

describe("tokenizer: the ids of CLIP's whole vocabulary", () => {
  const tokenizer = createTokenizer(clipFiles);
  for (const { text: prompt, ids, lost } of clip.prompts) {
    it(`${JSON.stringify(prompt.slice(0, 40))}: ${ids.length} ids`, () => {
      const encoding = tokenizer.encode(prompt);
      assert.deepEqual([...encoding.ids], [...ids, ...Array(77 - ids.length).fill(0)]);
      assert.equal(encoding.count, ids.length);
      assert.equal(encoding.truncated, lost);
    });
  }
});

describe("tokenizer: against the Rust tokenizer", () => {
  for (const normalized of [false, true]) {
    it(`marks looked for in ${normalized ? "normalised" : "raw"} text: 5,000 odd texts`, async () => {
      const rust = rustTokenizer(normalized);
      const ours = createTokenizer({ ...small, specialTokensMap: specials(normalized) });
      const texts = [...oddTexts(normalized ? 1 : 2, 5000)];
      const encodings = await rust.encodeBatch(texts);
      for (const [i, encoding] of encodings.entries()) {
        assert.deepEqual(idsOf(ours, texts[i]!), encoding.getIds(), JSON.stringify(texts[i]));
      }
    });
  }

  it("one word of 20,000 letters, without hanging", async () => {
    const word = [...oddTexts(3, 9000)]
      .join("")
      .replace(/[^a-z]/g, "")
      .slice(0, 20000);
    assert.equal(word.length, 20000);
    const expected = (await rustTokenizer(true).encode(word)).getIds();
    assert.deepEqual(idsOf(createTokenizer(small), word, 30000), expected);
  });

  /** tokenizer.json as transformers 5 builds it from these files. */
  function rustTokenizer(normalized: boolean): RustTokenizer {
    const vocab: Record<string, number> = JSON.parse(text("vocab.json"));
    const merges = text("merges.txt").split("\n").slice(1, -1);
    const piece = `<\\|startoftext\\|>|<\\|endoftext\\|>|'s|'t|'re|'ve|'m|'ll|'d|[\\p{L}]+|[\\p{N}]|[^\\s\\p{L}\\p{N}]+`;
    const flags = { single_word: false, lstrip: false, rstrip: false, special: true };
    const added = (content: string, inNormal: boolean) => {
      return { id: vocab[content]!, content, normalized: inNormal, ...flags };
    };
    const byteLevel = {
      type: "ByteLevel",
      add_prefix_space: false,
      trim_offsets: true,
      use_regex: true,
    };
    const split = { type: "Split", pattern: { Regex: piece }, behavior: "Removed", invert: true };
    const spaces = { type: "Replace", pattern: { Regex: "\\s+" }, content: " " };
    const json = {
      version: "1.0",
      added_tokens: [added("!", false), added(START, normalized), added(END, normalized)],
      normalizer: {
        type: "Sequence",
        normalizers: [{ type: "NFC" }, spaces, { type: "Lowercase" }],
      },
      pre_tokenizer: { type: "Sequence", pretokenizers: [split, byteLevel] },
      post_processor: {
        type: "RobertaProcessing",
        sep: [END, vocab[END]],
        cls: [START, vocab[START]],
        trim_offsets: false,
        add_prefix_space: false,
      },
      model: {
        type: "BPE",
        unk_token: END,
        continuing_subword_prefix: "",
        end_of_word_suffix: "</w>",
        fuse_unk: false,
        vocab,
        merges,
      },
    };
    return RustTokenizer.fromString(JSON.stringify(json));
  }
});

describe("tokenizer: its files", () => {
  const refuses = (files: TokenizerFiles, message: RegExp) =>
    assert.throws(() => createTokenizer(files), { code: "TOKENIZER", message });
  const prompt = "a photo of a cat, hello! <|ENDOFTEXT|>";
  const expected = idsOf(createTokenizer(small), prompt);

  it("pads with what special_tokens_map.json says, before tokenizer_config.json, before the end mark", () => {
    const end = (JSON.parse(text("vocab.json")) as Record<string, number>)[END];
    const padOf = (more: Partial<TokenizerFiles>) =>
      createTokenizer({ ...small, ...more })
        .encode("cat")
        .ids.at(-1);
    assert.equal(padOf({}), 0);
    assert.equal(padOf({ specialTokensMap: undefined }), end);
    assert.equal(padOf({ specialTokensMap: undefined, tokenizerConfig: { pad_token: "#" } }), 2);
    assert.equal(padOf({ specialTokensMap: undefined, tokenizerConfig: undefined }), end);
  });

  it("takes the context length from model_max_length, and 77 where there is no sane one", () => {
    const lengthOf = (tokenizerConfig: unknown) =>
      createTokenizer({ ...small, tokenizerConfig }).encode("cat").ids.length;
    assert.equal(lengthOf({ model_max_length: 32 }), 32);
    assert.equal(lengthOf({ model_max_length: 1e30 }), 77);
    assert.equal(lengthOf({}), 77);
  });

  it("cuts to any length of 2 and more, keeps the end mark and gives the lost text", () => {
    const tokenizer = createTokenizer(small);
    const whole = idsOf(tokenizer, "the cat and the 東京 dog");
    const cut = tokenizer.encode("the cat and the 東京 dog", 5);
    assert.deepEqual([...cut.ids], [...whole.slice(0, 4), whole.at(-1)]);
    assert.deepEqual([cut.count, cut.truncated], [5, "and the 東京 dog"]);
    assert.equal(tokenizer.encode("the", 2).truncated, "the");
    assert.throws(() => tokenizer.encode("the", 1), { code: "BAD_REQUEST" });
  });

  it("reads them as text or parsed, with a byte order mark, with CRLF, with no last newline", () => {
    const variants: Partial<TokenizerFiles>[] = [
      { vocab: JSON.parse(text("vocab.json")) },
      { vocab: `\ufeff${text("vocab.json")}`, merges: `\ufeff${text("merges.txt")}` },
      { merges: text("merges.txt").replaceAll("\n", "\r\n") },
      { merges: text("merges.txt").trimEnd() },
      { merges: text("merges.txt").replace(/^#version.*\n/, "") },
      { specialTokensMap: JSON.stringify(small.specialTokensMap) },
    ];
    for (const more of variants) {
      assert.deepEqual(idsOf(createTokenizer({ ...small, ...more }), prompt), expected);
    }
  });

  it("reads tokenizer.json alone, with merges as pairs or as lines", () => {
    const vocab = JSON.parse(text("vocab.json"));
    const lines = text("merges.txt").split("\n").slice(1, -1);
    const added_tokens = [
      { id: 0, content: "!", normalized: false },
      { id: vocab[START], content: START, normalized: true },
      { id: vocab[END], content: END, normalized: true },
    ];
    for (const merges of [lines, lines.map((line) => line.split(" "))]) {
      const tokenizer = { added_tokens, model: { vocab, merges } };
      const ours = createTokenizer({ tokenizer, tokenizerConfig: { pad_token: "!" } });
      assert.deepEqual(idsOf(ours, prompt), expected);
      assert.equal(ours.encode("cat").ids.at(-1), 0);
    }
  });

  it("lets added_tokens_decoder decide which text a mark is looked for in", () => {
    const vocab = JSON.parse(text("vocab.json"));
    const added_tokens_decoder = { [vocab[END]]: mark(END, false), [vocab[START]]: mark(START) };
    const ours = createTokenizer({ ...small, tokenizerConfig: { added_tokens_decoder } });
    const ids = idsOf(ours, `${END} <|ENDOFTEXT|> <|STARTOFTEXT|>`);
    assert.equal(ids.filter((id) => id === vocab[END]).length, 2);
    assert.equal(ids.filter((id) => id === vocab[START]).length, 2);
  });

  it("gives characters that the vocabulary lacks the unknown token's id", () => {
    const vocab = { l: 0, "o</w>": 1, "lo</w>": 2, [START]: 3, [END]: 4 };
    const ours = createTokenizer({ vocab, merges: "l o</w>" });
    assert.deepEqual(idsOf(ours, "lo lxo"), [3, 2, 0, 4, 1, 4]);
  });

  it("refuses damaged files, naming file and place", () => {
    refuses({ merges: small.merges }, /no vocab\.json/);
    refuses({ vocab: small.vocab }, /no merges\.txt/);
    refuses({ ...small, vocab: text("vocab.json").slice(0, -20) }, /vocab\.json is not JSON/);
    refuses({ ...small, vocab: "[1, 2]" }, /vocab\.json is not a JSON object/);
    refuses({ ...small, vocab: { a: 1.5 } }, /"a" is 1\.5/);
    refuses({ ...small, vocab: { a: 1, b: 1 } }, /"a" and "b" both have id 1/);
    refuses({ ...small, merges: "#version: 0.2\ni n x\n" }, /merge 1 is "i n x"/);
    refuses({ ...small, merges: "i n\n\nt h\n" }, /merge 2 is ""/);
    refuses({ ...small, merges: "i n\nq q\n" }, /merge 2 \(q q\) needs "qq".*2014 tokens/);
    refuses({ ...small, specialTokensMap: { pad_token: "<pad>" } }, /pad_token "<pad>" is not/);
    refuses({ ...small, specialTokensMap: { pad_token: 5 } }, /pad_token is not/);
    refuses({ ...small, tokenizerConfig: "{" }, /tokenizer_config\.json is not JSON/);
    refuses({ tokenizer: { model: { vocab: {}, merges: 3 } } }, /merges is not a list/);
    refuses({ ...small, tokenizer: { added_tokens: [{ id: 1 }] } }, /names no token/);
  });
});
