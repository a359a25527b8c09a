/** The files of a `tokenizer/` folder. */
import { DiffusionError } from "../engine/errors.ts";
import { type ModelFiles, readJson } from "./files/files.ts";
import type { TokenizerFiles } from "./tokenizer-files.ts";

/** Reads what is there. Throws TOKENIZER unless that is a vocabulary and its merges. */
export async function readTokenizer(from: ModelFiles): Promise<TokenizerFiles> {
  const text = (name: string) => from.readText(`tokenizer/${name}`, "TOKENIZER");
  const json = (name: string) => readJson(from, `tokenizer/${name}`, "TOKENIZER");
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
  const message = `${from.where("tokenizer")} has neither ${absent === "vocab" ? "vocab.json" : "merges.txt"} nor tokenizer.json`;
  const hint = "the folder is incomplete: `wgsl-diffusion download` again (it resumes)";
  throw new DiffusionError("TOKENIZER", message, { hint });
}
