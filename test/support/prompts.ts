/** What AUTOMATIC1111's webui makes of prompts (test/fixtures/prompts), and the tiny checkpoint's tokenizer. */
import { readFileSync } from "node:fs";
import { createTokenizer, type Tokenizer } from "../../model/tokenizer.ts";

type Pair = readonly [string, number];

export interface PromptVectors {
  readonly emphasis: readonly { readonly text: string; readonly pieces: readonly Pair[] }[];
  readonly composition: readonly { readonly text: string; readonly parts: readonly Pair[] }[];
  readonly schedules: readonly {
    readonly text: string;
    readonly steps: number;
    readonly schedule: readonly (readonly [number, string])[];
  }[];
  /** The entry of the schedule in force at each call of the UNet. */
  readonly uses: readonly {
    readonly text: string;
    readonly steps: number;
    readonly uses: readonly number[];
  }[];
  readonly conditioning: readonly { readonly name: string; readonly texts: readonly string[] }[];
  /** Without the padding and the ones at the end of each chunk. */
  readonly chunks: readonly {
    readonly text: string;
    readonly ids: readonly (readonly number[])[];
    readonly weights: readonly (readonly number[])[];
  }[];
}

const FIXTURES = new URL("../fixtures/", import.meta.url);
const read = (name: string) => readFileSync(new URL(name, FIXTURES), "utf8");

export const vectors: PromptVectors = JSON.parse(read("prompts/vectors.json"));

/** The tokenizer of tiny-v: a chunk is 77 tokens, the pad token has id 0. */
export function tinyTokenizer(): Tokenizer {
  return createTokenizer({
    vocab: read("tiny-v/tokenizer/vocab.json"),
    merges: read("tiny-v/tokenizer/merges.txt"),
    specialTokensMap: read("tiny-v/tokenizer/special_tokens_map.json"),
    tokenizerConfig: read("tiny-v/tokenizer/tokenizer_config.json"),
  });
}
