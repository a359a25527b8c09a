/** The tiny depth estimator of the fixtures, and its goldens. */
import { readFileSync } from "node:fs";
import type { DType } from "../../engine/dtype.ts";
import { type Tensor, tensor } from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import { readSafetensors, type StoredTensor } from "../../engine/safetensors.ts";
import type { Part } from "../../model/checkpoint.ts";
import * as bit from "../../model/depth/bit.ts";
import * as network from "../../model/depth/dpt.ts";
import { type DptConfig, dptConfig } from "../../model/depth/index.ts";
import { memorySource } from "./byte-source.ts";
import {
  type BlockEntry,
  channelsLast,
  checkpointPath,
  type GoldenTensors,
  openGolden,
} from "./golden.ts";

export type DepthEntry = Omit<BlockEntry, "component" | "file">;

export interface TinyDepth {
  readonly part: Part<DptConfig>;
  readonly tensors: ReadonlyMap<string, StoredTensor>;
  readonly golden: (name: string) => ReturnType<GoldenTensors>;
}

export const tinyJson = (file: string): unknown =>
  JSON.parse(readFileSync(`${checkpointPath("tiny-depth")}/${file}`, "utf8"));

export async function openTinyDepth(): Promise<TinyDepth> {
  const path = `${checkpointPath("tiny-depth")}/depth_estimator/model.safetensors`;
  const { tensors } = await readSafetensors(memorySource(readFileSync(path)));
  const config = dptConfig(tinyJson("depth_estimator/config.json"));
  const golden = await openGolden("tiny-depth", ["depth.safetensors"]);
  return {
    part: { config, weights: Weights.of("depth_estimator", tensors) },
    tensors,
    golden: (name) => golden("depth.safetensors", name),
  };
}

type Read = (argument: string) => Tensor[];
type Build = (w: Weights, config: DptConfig, read: Read, module: string) => Tensor[];

/** Our function for each class of transformers' modules. */
const BLOCKS: Readonly<Record<string, Build>> = {
  BitEmbeddings: (w, { backbone }, read) => [bit.stem(w, backbone, read("pixel_values")[0]!)],
  BitBottleneckLayer: (w, { backbone }, read, module) => {
    const stride = /stages\.[12]\.layers\.0$/.test(module) ? 2 : 1;
    return [bit.bottleneck(w, backbone, read("hidden_states")[0]!, stride)];
  },
  DPTViTHybridEmbeddings: (w, config, read) => {
    const { tokens, features } = network.embeddings(w, config, read("pixel_values")[0]!);
    return [tokens, ...features];
  },
  DPTViTLayer: (w, config, read) => [network.vitLayer(w, config, read("hidden_states")[0]!)],
  DPTReassembleStage: (w, config, read) => {
    const [first, second, ...tokens] = read("hidden_states");
    // The picture is 32x64, a token 16x16.
    return [first!, second!, ...network.reassemble(w, config, tokens, [2, 4])];
  },
  DPTFeatureFusionLayer: (w, _, read) => [
    network.fuse(w, read("hidden_state")[0]!, read("residual")[0]),
  ],
  DPTPreActResidualLayer: (w, _, read) => [network.residualUnit(w, read("hidden_state")[0]!)],
  DPTDepthEstimationHead: (w, _, read) => [
    network.head(w.at("head"), read("hidden_states").at(-1)!),
  ],
};

/** The results of one entry as a graph on constant inputs, in the order of its outputs. */
export function buildDepthBlock(
  { part, golden }: TinyDepth,
  { class: name, module, inputs }: DepthEntry,
  dtype: DType,
): Tensor[] {
  const read: Read = (argument) =>
    [inputs[argument] ?? []].flat().map((key) => {
      const { data, shape } = channelsLast(golden(key as string));
      return tensor(data, shape, dtype);
    });
  return BLOCKS[name]!(part.weights.at(module), part.config, read, module);
}
