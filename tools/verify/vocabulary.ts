/** CLIP's vocabulary as a `tokenizer/` folder that transformers opens, for single files, which hold weights only. */
import { mkdirSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { clipVocabulary } from "../../model/vocabulary.ts";

const [START, END] = ["<|startoftext|>", "<|endoftext|>"];

/** As the folders of Stable Diffusion 2 say it: padded with "!". */
const SETTINGS = {
  ...{ tokenizer_class: "CLIPTokenizer", model_max_length: 77, do_lower_case: true },
  ...{ bos_token: START, eos_token: END, unk_token: END, pad_token: "!" },
};

/** Writes the four files of a tokenizer of 49408 tokens. */
export async function writeVocabulary(folder: string): Promise<void> {
  const { vocab, merges } = await clipVocabulary();
  mkdirSync(folder, { recursive: true });
  const { bos_token, eos_token, unk_token, pad_token } = SETTINGS;
  const files = {
    "vocab.json": JSON.stringify(vocab),
    "merges.txt": `#version: 0.2\n${merges}\n`,
    "special_tokens_map.json": JSON.stringify({ bos_token, eos_token, unk_token, pad_token }),
    "tokenizer_config.json": JSON.stringify(SETTINGS),
  };
  for (const [name, text] of Object.entries(files)) writeFileSync(join(folder, name), text);
}
