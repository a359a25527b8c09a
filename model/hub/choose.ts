/**
 * Which files of a repository Stable Diffusion needs: the small ones of each part that
 * model_index.json names, and the part's weights once, as safetensors.
 */
import { DiffusionError } from "../../engine/errors.ts";
import { CONVERT } from "../../engine/file-kind.ts";
import { safeFileName } from "../safe-name.ts";

/** By part: the files that are taken where they are there, and how its weights are called. */
const PARTS: Readonly<Record<string, { files: readonly string[]; stem?: string }>> = {
  scheduler: { files: ["scheduler_config.json"] },
  low_res_scheduler: { files: ["scheduler_config.json"] },
  feature_extractor: { files: ["preprocessor_config.json"] },
  tokenizer: {
    files: [
      ...["vocab.json", "merges.txt", "tokenizer.json"],
      ...["special_tokens_map.json", "tokenizer_config.json", "added_tokens.json"],
    ],
  },
  text_encoder: { files: ["config.json"], stem: "model" },
  vae: { files: ["config.json"], stem: "diffusion_pytorch_model" },
  depth_estimator: { files: ["config.json"], stem: "model" },
  unet: { files: ["config.json"], stem: "diffusion_pytorch_model" },
};

/** Every file that may be taken, shards aside: for a server that cannot list what it has. */
export function possibleFiles(variant: string | undefined): string[] {
  return Object.entries(PARTS).flatMap(([part, { files, stem }]) => {
    const weights = stem ? [...plainNames(stem), ...variantNames(stem, variant ?? "fp16")] : [];
    return [...files, ...weights].map((file) => `${part}/${file}`);
  });
}

/** Without these nothing can be painted. */
const REQUIRED = ["scheduler", "tokenizer", "text_encoder", "vae", "unet"];

const PICKLE = /\.(?:bin|ckpt|pt|pth|pkl|msgpack|h5)$/;

export interface Choice {
  /** Paths, small files first. */
  readonly files: readonly string[];
  readonly warnings: readonly string[];
}

export interface ChooseOptions {
  /** What messages call the repository. */
  readonly name: string;
  /** `fp16` takes `model.fp16.safetensors`. Without: the plain files, else fp16's. */
  readonly variant?: string | undefined;
  /** Fetches and parses one of the files: model_index.json, and the indexes of shards. */
  readonly readJson: (path: string) => Promise<unknown>;
}

/**
 * Throws WEIGHTS_MISSING (no diffusers folder, a part or the variant is not there), WEIGHTS_FORMAT
 * (only pickles), WEIGHTS_SHARD, PATH (an index names a file elsewhere).
 */
export async function chooseFiles(
  paths: readonly string[],
  options: ChooseOptions,
): Promise<Choice> {
  const present = new Set(paths);
  if (!present.has("model_index.json")) throw noFolder(paths, options.name);
  const parts = partsOf(await options.readJson("model_index.json"), options.name);
  const small = parts.flatMap((part) => smallFiles(part, present, options.name));
  const warnings: string[] = [];
  const weighty = parts.filter((part) => PARTS[part]?.stem !== undefined);
  const found = weighty.map((part) => weightsFile(part, present, options, warnings));
  if (options.variant !== undefined && warnings.length === weighty.length)
    throw new DiffusionError(
      "WEIGHTS_MISSING",
      `${options.name} has no variant ${options.variant}`,
      {
        hint: `It has ${weightFiles(paths)}.`,
      },
    );
  const weights: string[] = [];
  for (const file of found) weights.push(...(await withShards(file, present, options)));
  return { files: ["model_index.json", ...small, ...weights], warnings };
}

function partsOf(index: unknown, name: string): string[] {
  const fields = typeof index === "object" && index !== null ? { ...index } : {};
  const named = (part: string) => {
    const value = (fields as Record<string, unknown>)[part];
    return Array.isArray(value) && typeof value[1] === "string";
  };
  const absent = REQUIRED.find((part) => !named(part));
  if (absent !== undefined)
    throw new DiffusionError("WEIGHTS_MISSING", `${name}: model_index.json names no ${absent}`, {
      hint: "This is not a checkpoint of the Stable Diffusion 2 family.",
    });
  return Object.keys(PARTS).filter(named);
}

function smallFiles(part: string, present: ReadonlySet<string>, name: string): string[] {
  const files = PARTS[part]!.files.map((file) => `${part}/${file}`);
  const found = files.filter((file) => present.has(file));
  const bare = part === "tokenizer" && !found.some((file) => /(?:merges.txt|zer.json)$/.test(file));
  // Depth models of old have no feature_extractor on some mirrors: its settings are known.
  if (part !== "feature_extractor" && (found.length === 0 || bare))
    throw new DiffusionError(
      "WEIGHTS_MISSING",
      `${name} has no ${bare ? `${part}/merges.txt` : files[0]}`,
      {
        hint: "The repository is incomplete: take another.",
      },
    );
  return found;
}

/** The weights file of a part, or the index of its shards. */
function weightsFile(
  part: string,
  present: ReadonlySet<string>,
  { name, variant }: ChooseOptions,
  warnings: string[],
): string {
  const stem = PARTS[part]!.stem!;
  const first = (names: readonly string[]) =>
    names.map((file) => `${part}/${file}`).find((file) => present.has(file));
  const plain = first(plainNames(stem));
  if (variant !== undefined) {
    const asked = first(variantNames(stem, variant));
    if (asked !== undefined) return asked;
    warnings.push(`${part} has no variant ${variant}: its plain weights are taken`);
    if (plain !== undefined) return plain;
  }
  const found = plain ?? first(variantNames(stem, "fp16"));
  if (found !== undefined) return found;
  const own = [...present].filter((path) => path.startsWith(`${part}/`));
  const pickle = own.find((path) => PICKLE.test(path));
  if (pickle !== undefined) throw onlyPickles(name, pickle);
  throw new DiffusionError("WEIGHTS_MISSING", `${name} has no ${part}/${stem}.safetensors`, {
    hint: `It has ${weightFiles(own)}: name a variant with --variant.`,
  });
}

const plainNames = (stem: string) => [`${stem}.safetensors`, `${stem}.safetensors.index.json`];

/** diffusers' spelling of an index, then transformers'. */
const variantNames = (stem: string, variant: string) => [
  `${stem}.${variant}.safetensors`,
  `${stem}.safetensors.${variant}.index.json`,
  `${stem}.safetensors.index.${variant}.json`,
];

async function withShards(
  file: string,
  present: ReadonlySet<string>,
  { name, readJson }: ChooseOptions,
): Promise<string[]> {
  if (!file.endsWith(".json")) return [file];
  const folder = file.slice(0, file.indexOf("/"));
  const map = ((await readJson(file)) as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null) throw shardFault(name, file, "has no weight_map");
  const shards = [...new Set(Object.values(map))].map((shard) => {
    const path = `${folder}/${safeFileName(shard, `${name}: ${file}`)}`;
    if (!path.endsWith(".safetensors"))
      throw shardFault(name, file, `lists ${path}, no safetensors`);
    if (!present.has(path)) throw shardFault(name, file, `lists ${path}, which is not there`);
    return path;
  });
  return [file, ...shards];
}

function shardFault(name: string, file: string, what: string): DiffusionError {
  return new DiffusionError("WEIGHTS_SHARD", `${name}: ${file} ${what}`, {
    hint: "The repository is damaged: take another, or another revision.",
  });
}

function noFolder(paths: readonly string[], name: string): DiffusionError {
  const single = paths.filter((path) => path.endsWith(".safetensors"));
  const pickle = paths.find((path) => PICKLE.test(path));
  if (single.length === 0 && pickle !== undefined) return onlyPickles(name, pickle);
  const message = `${name} is no diffusers folder: there is no model_index.json in it`;
  return new DiffusionError("WEIGHTS_MISSING", message, {
    hint:
      single.length === 0
        ? "It holds no weights that can be read."
        : `It has ${weightFiles(paths)}: --file takes one of them.`,
  });
}

export function onlyPickles(name: string, file: string): DiffusionError {
  const message = `${name} has ${file} but no safetensors in its place; pickles can run code and are not fetched`;
  return new DiffusionError("WEIGHTS_FORMAT", message, {
    hint: `Take a repository with .safetensors, or ${CONVERT}`,
  });
}

export function isPickle(path: string): boolean {
  return PICKLE.test(path);
}

function weightFiles(paths: readonly string[]): string {
  const files = paths.filter((path) => path.endsWith(".safetensors"));
  const more = files.length > 6 ? `, and ${files.length - 6} more` : "";
  return files.length === 0 ? "no .safetensors files" : files.slice(0, 6).join(", ") + more;
}
