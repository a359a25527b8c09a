import { DiffusionError } from "../engine/errors.ts";

/** The files of a `tokenizer/` folder, each as text or as parsed JSON. */
export type TokenizerFiles = {
  /** vocab.json: token to id. */
  readonly vocab?: string | Readonly<Record<string, number>> | undefined;
  /** merges.txt: a pair of tokens a line, the first to merge first. */
  readonly merges?: string | undefined;
  /** tokenizer.json, which holds both: transformers 5 writes only this one. */
  readonly tokenizer?: unknown;
  /** special_tokens_map.json: it wins over tokenizer_config.json. */
  readonly specialTokensMap?: unknown;
  readonly tokenizerConfig?: unknown;
};

/** A token that is looked for in the text as it stands: in the raw text, or in the normalised. */
export type AddedToken = {
  readonly content: string;
  readonly id: number;
  readonly normalized: boolean;
};

export type TokenizerData = {
  readonly vocab: ReadonlyMap<string, number>;
  /** "left right" to the order of the merge. */
  readonly ranks: ReadonlyMap<string, number>;
  readonly start: number;
  readonly end: number;
  readonly pad: number;
  readonly unknown: number;
  readonly added: readonly AddedToken[];
  readonly maxLength: number;
};

type Json = Readonly<Record<string, unknown>>;

const CLIP_CONTEXT = 77;
/** The special tokens, and what transformers' CLIPTokenizer takes where no file names one. */
const MARKS = [
  ["bos_token", "<|startoftext|>"],
  ["eos_token", "<|endoftext|>"],
  ["unk_token", "<|endoftext|>"],
  ["pad_token", "<|endoftext|>"],
] as const;

/** The files read and checked against each other. Throws TOKENIZER, saying which file and where. */
export function readTokenizerFiles(files: TokenizerFiles): TokenizerData {
  const whole = object(files.tokenizer ?? {}, "tokenizer.json");
  const model = object(whole.model ?? {}, "tokenizer.json: model");
  const vocab = readVocab(files.vocab ?? model.vocab);
  const ranks = readRanks(files.merges ?? model.merges, vocab);
  const config = object(files.tokenizerConfig ?? {}, "tokenizer_config.json");
  const map = object(files.specialTokensMap ?? {}, "special_tokens_map.json");
  const listed = [
    ...listedTokens(whole.added_tokens),
    ...decoderTokens(config.added_tokens_decoder),
  ];
  const named = MARKS.map(([name, content]) =>
    markToken(name, map[name] ?? config[name] ?? content, vocab, listed),
  );
  const [start, end, unknown, pad] = named.map((token) => token.id) as [
    number,
    number,
    number,
    number,
  ];
  const maxLength = readMaxLength(config.model_max_length);
  return {
    vocab,
    ranks,
    start,
    end,
    pad,
    unknown,
    maxLength,
    added: unique([...listed, ...named]),
  };
}

function fail(message: string, hint = "fetch the checkpoint's tokenizer folder again"): never {
  throw new DiffusionError("TOKENIZER", message, { hint });
}

/** A JSON object, from its text (with or without a byte order mark) or as it is. */
function object(value: unknown, name: string): Json {
  const parsed = typeof value === "string" ? parse(value, name) : value;
  if (typeof parsed === "object" && parsed !== null && !Array.isArray(parsed))
    return parsed as Json;
  return fail(`${name} is not a JSON object`);
}

function parse(text: string, name: string): unknown {
  try {
    return JSON.parse(text.replace(/^\ufeff/, ""));
  } catch (cause) {
    throw new DiffusionError("TOKENIZER", `${name} is not JSON: ${(cause as Error).message}`, {
      cause,
    });
  }
}

function readVocab(value: unknown): Map<string, number> {
  if (value === undefined) fail("the tokenizer has no vocab.json and no tokenizer.json");
  const vocab = new Map<string, number>();
  const owners = new Map<number, string>();
  for (const [token, id] of Object.entries(object(value, "vocab.json"))) {
    if (typeof id !== "number" || !Number.isInteger(id) || id < 0 || id > 0x7fffffff) {
      fail(`vocab.json: the id of ${JSON.stringify(token)} is ${JSON.stringify(id)}`);
    }
    const other = owners.get(id);
    if (other !== undefined) {
      fail(`vocab.json: ${JSON.stringify(other)} and ${JSON.stringify(token)} both have id ${id}`);
    }
    vocab.set(token, id);
    owners.set(id, token);
  }
  return vocab;
}

function readRanks(merges: unknown, vocab: ReadonlyMap<string, number>): Map<string, number> {
  const pairs = typeof merges === "string" ? mergeLines(merges) : mergeList(merges);
  const ranks = new Map<string, number>();
  for (const [rank, pair] of pairs.entries()) {
    const parts = pair.split(" ");
    const [left, right] = parts;
    if (parts.length !== 2 || !left || !right) {
      fail(
        `merges.txt: merge ${rank + 1} is ${JSON.stringify(pair)}, wanted two tokens and a space`,
      );
    }
    const missing = [left, right, left + right].find((token) => !vocab.has(token));
    if (missing !== undefined) {
      fail(
        `merges.txt: merge ${rank + 1} (${pair}) needs ${JSON.stringify(missing)}, ` +
          `which is not among the ${vocab.size} tokens of vocab.json`,
        "take vocab.json and merges.txt from the same checkpoint",
      );
    }
    ranks.set(pair, rank);
  }
  return ranks;
}

/** The lines of merges.txt. A version line may open it; other lines with # are merges. */
function mergeLines(text: string): string[] {
  const lines = text.replace(/^\ufeff/, "").split(/\r?\n/);
  while (lines.at(-1) === "") lines.pop();
  return lines.filter((line) => !line.startsWith("#version"));
}

/** tokenizer.json writes pairs as arrays, older ones as "left right". */
function mergeList(value: unknown): string[] {
  if (value === undefined) fail("the tokenizer has no merges.txt and no tokenizer.json");
  if (!Array.isArray(value)) fail("tokenizer.json: model.merges is not a list");
  return value.map((pair: unknown) => (Array.isArray(pair) ? pair.join(" ") : String(pair)));
}

/** The tokens that tokenizer.json lists under added_tokens. */
function listedTokens(value: unknown): AddedToken[] {
  if (value === undefined) return [];
  if (!Array.isArray(value)) fail("tokenizer.json: added_tokens is not a list");
  return value.map((entry) => addedToken(entry, entry?.id, "tokenizer.json: added_tokens"));
}

/** The tokens that tokenizer_config.json lists by id. */
function decoderTokens(value: unknown): AddedToken[] {
  const name = "tokenizer_config.json: added_tokens_decoder";
  const entries = Object.entries(object(value ?? {}, name));
  return entries.map(([id, entry]) => addedToken(entry, Number(id), name));
}

function addedToken(entry: unknown, id: unknown, name: string): AddedToken {
  const { content, normalized } = object(entry, name);
  if (typeof content !== "string" || content === "" || !Number.isInteger(id)) {
    fail(`${name}: ${JSON.stringify(entry)} names no token`);
  }
  return { content, id: id as number, normalized: normalized === true };
}

/** A special token: a string, or an object that says whether it is looked for in normalised text. */
function markToken(
  name: string,
  value: unknown,
  vocab: ReadonlyMap<string, number>,
  listed: readonly AddedToken[],
): AddedToken {
  const mark = typeof value === "string" ? { content: value } : object(value, name);
  const known = listed.find((token) => token.content === mark.content);
  if (known !== undefined) return known;
  const id = typeof mark.content === "string" ? vocab.get(mark.content) : undefined;
  if (id === undefined) {
    fail(
      `${name} ${JSON.stringify(mark.content)} is not among the ${vocab.size} tokens of vocab.json`,
    );
  }
  return addedToken(mark, id, name);
}

/** Of two that differ in `normalized` alone the later counts; a mere repetition does not come later. */
function unique(tokens: readonly AddedToken[]): AddedToken[] {
  const kinds = new Map<string, AddedToken>();
  for (const token of tokens) {
    const kind = `${token.normalized} ${token.content}`;
    if (!kinds.has(kind)) kinds.set(kind, token);
  }
  return [...new Map([...kinds.values()].map((token) => [token.content, token])).values()];
}

/** transformers writes 1e30 where a tokenizer has no limit of its own. */
function readMaxLength(value: unknown): number {
  const given =
    typeof value === "number" && Number.isInteger(value) && value >= 2 && value <= 65536;
  return given ? value : CLIP_CONTEXT;
}
