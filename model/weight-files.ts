/** The safetensors file, or the shards, of one part of a diffusers folder. */
import { DiffusionError } from "../engine/errors.ts";
import { CONVERT } from "../engine/file-kind.ts";
import { type ByteSource, readSafetensors, type StoredTensor } from "../engine/safetensors.ts";
import { type ModelFiles, readJson } from "./files/files.ts";
import { safeFileName } from "./safe-name.ts";

type Tensors = ReadonlyMap<string, StoredTensor>;

/** Keeps an opened file, to be closed with the folder. */
export type KeepOpen = (source: ByteSource) => void;

export interface WeightsWanted {
  /** How the files are called: "model" or "diffusion_pytorch_model". */
  readonly stem: string;
  readonly variant: string | undefined;
  readonly keep: KeepOpen;
}

/**
 * The tensors of the part in `folder`. Without a `variant` the plain files come first, then fp16's.
 * Throws WEIGHTS_MISSING, WEIGHTS_FORMAT (only pickles there), WEIGHTS_SHARD, PATH, and what
 * `readSafetensors` throws.
 */
export async function openWeights(
  files: ModelFiles,
  folder: string,
  { stem, variant, keep }: WeightsWanted,
): Promise<Tensors> {
  const present = new Set(await files.list(folder));
  const names = candidates(stem, variant);
  const found = names.find((name) => present.has(name));
  if (found === undefined) throw noWeights(files.where(folder), names, [...present]);
  const name = `${folder}/${found}`;
  if (found.endsWith(".json")) return openShards(files, folder, name, present, keep);
  return openTensors(files, name, keep);
}

function candidates(stem: string, variant: string | undefined): string[] {
  const plain = [`${stem}.safetensors`, `${stem}.safetensors.index.json`];
  const named = (v: string) => [
    `${stem}.${v}.safetensors`,
    // diffusers' spelling, then transformers'.
    `${stem}.safetensors.${v}.index.json`,
    `${stem}.safetensors.index.${v}.json`,
  ];
  return variant === undefined ? [...plain, ...named("fp16")] : named(variant);
}

function noWeights(folder: string, wanted: string[], present: string[]): DiffusionError {
  const pickle = present.find((name) => /\.(?:bin|ckpt|pt|pth|msgpack|h5)$/.test(name));
  if (pickle !== undefined) {
    const message = `${folder} holds ${pickle} but no safetensors file; pickles are not opened`;
    return new DiffusionError("WEIGHTS_FORMAT", message, { hint: CONVERT });
  }
  const others = present.filter((name) => name.endsWith(".safetensors"));
  const message = `${folder} has no ${wanted[0]}; found ${others.join(", ") || "no safetensors"}`;
  const hint = "fetch the model again: `wgsl-diffusion download`; or name another variant";
  return new DiffusionError("WEIGHTS_MISSING", message, { hint });
}

async function openTensors(files: ModelFiles, name: string, keep: KeepOpen): Promise<Tensors> {
  const source = await files.open(name);
  keep(source);
  return (await readSafetensors(source)).tensors;
}

/** All tensors of the shards that the index lists; index and shards must agree to the last name. */
async function openShards(
  files: ModelFiles,
  folder: string,
  indexName: string,
  present: ReadonlySet<string>,
  keep: KeepOpen,
): Promise<Tensors> {
  const index = files.where(indexName);
  const shardOf = readWeightMap(await readJson(files, indexName, "WEIGHTS_SHARD"), index);
  const tensors = new Map<string, StoredTensor>();
  for (const shard of new Set(shardOf.values())) {
    if (!present.has(shard)) throw shardFault(index, `lists ${shard}, which is not there`);
    for (const [name, tensor] of await openTensors(files, `${folder}/${shard}`, keep)) {
      if (shardOf.get(name) !== shard) {
        throw shardFault(index, `does not place ${name.slice(0, 100)} in ${shard}, where it is`);
      }
      tensors.set(name, tensor);
    }
  }
  const absent = [...shardOf.keys()].find((name) => !tensors.has(name));
  if (absent === undefined) return tensors;
  throw shardFault(index, `places ${absent.slice(0, 100)} in ${shardOf.get(absent)}: not there`);
}

function readWeightMap(json: unknown, index: string): ReadonlyMap<string, string> {
  const map = (json as { weight_map?: unknown } | null)?.weight_map;
  if (typeof map !== "object" || map === null || Array.isArray(map)) {
    throw shardFault(index, "has no weight_map");
  }
  const shardOf = new Map<string, string>();
  for (const [name, shard] of Object.entries(map)) {
    const file = safeFileName(shard, index);
    if (!file.endsWith(".safetensors")) throw shardFault(index, `lists ${file}, no safetensors`);
    shardOf.set(name, file);
  }
  return shardOf;
}

function shardFault(index: string, what: string): DiffusionError {
  return new DiffusionError("WEIGHTS_SHARD", `${index} ${what}`, {
    hint: "the download is incomplete, or index and shards are of different models: fetch it again",
  });
}
