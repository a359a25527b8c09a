/** The files of a `tokenizer/` folder. */
import { join } from "node:path";
import { DiffusionError } from "../engine/errors.ts";
import { readJson, readText } from "../engine/platform/text-file.node.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

/** Reads what is there. Throws TOKENIZER unless that is a vocabulary and its merges. */
export async function readTokenizer(folder: string): Promise<TokenizerFiles> {
  const text = (name: string) => readText(join(folder, name), "TOKENIZER");
  const json = (name: string) => readJson(join(folder, name), "TOKENIZER");
  const files = {
    vocab: await text("vocab.json"),
    merges: await text("merges.txt"),
    tokenizer: await json("tokenizer.json"),
    specialTokensMap: await json("special_tokens_map.json"),
    tokenizerConfig: await json("tokenizer_config.json"),
  };
  if (files.tokenizer !== undefined) return files;
  const absent = (["vocab", "merges"] as const).find((name) => files[name] === undefined);
  if (absent === undefined) return files;
  const message = `${folder} has neither ${absent === "vocab" ? "vocab.json" : "merges.txt"} nor tokenizer.json`;
  const hint = "the folder is incomplete: `wgsl-diffusion download` again (it resumes)";
  throw new DiffusionError("TOKENIZER", message, { hint });
}
