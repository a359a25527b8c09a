/** Our function for each class of module of diffusers and transformers, called with PyTorch's arguments. */
import { type DType, silu, slice, type Tensor, tensor } from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import { causalAttention, embed, mlp, textEncoder, textLayer } from "../../model/clip.ts";
import type { ModelFolder } from "../../model/folder.node.ts";
import * as layers from "../../model/layers.ts";
import * as unet from "../../model/unet.ts";
import * as vae from "../../model/vae.ts";
import { type BlockEntry, channelsLast, type GoldenTensors } from "./golden.ts";

/** A checkpoint with the weights of each part. */
export interface Parts {
  readonly folder: ModelFolder;
  readonly weights: Readonly<Record<BlockEntry["component"], Weights>>;
}

export async function openParts(folder: ModelFolder): Promise<Parts> {
  const { textEncoder: text, unet, vae } = folder;
  return {
    folder,
    weights: {
      text_encoder: Weights.of("text_encoder", await text.tensors()),
      unet: Weights.of("unet", await unet.tensors()),
      vae: Weights.of("vae", await vae.tensors()),
    },
  };
}

interface Call extends Parts {
  readonly entry: BlockEntry;
  readonly dtype: DType;
  /** The module's own weights, and those of its whole part. */
  readonly w: Weights;
  readonly root: Weights;
  /** The argument of a name, pictures channels last. */
  readonly x: (argument: string) => Tensor;
  readonly list: (argument: string) => Tensor[];
}

type Build = (call: Call) => Tensor | Tensor[];

/** Whether the module has a counterpart of ours. */
export function isCovered(entry: BlockEntry): boolean {
  return entry.class in BLOCKS;
}

/** The results of one entry as a graph on constant inputs, in the order of its outputs. */
export function buildBlock(
  parts: Parts,
  entry: BlockEntry,
  golden: GoldenTensors,
  dtype: DType,
): Tensor[] {
  const root = parts.weights[entry.component];
  const read = (name: string) => {
    const { data, shape } = channelsLast(golden(entry.file, name));
    return tensor(data, shape, /(input_ids|class_labels)$/.test(name) ? "i32" : dtype);
  };
  const result = BLOCKS[entry.class]!({
    ...parts,
    entry,
    dtype,
    root,
    w: entry.module === "" ? root : root.at(entry.module),
    x: (argument) => read(entry.inputs[argument] as string),
    list: (argument) => (entry.inputs[argument] as readonly string[]).map(read),
  });
  return Array.isArray(result) ? result : [result];
}

const text = ({ folder }: Call) => folder.textEncoder.config;

const norm = ({ entry, folder }: Call): layers.Norm =>
  entry.component === "vae"
    ? { groups: folder.vae.config.normNumGroups, eps: vae.VAE_EPS }
    : { groups: folder.unet.config.normNumGroups, eps: folder.unet.config.normEps };

/** The level that a module of the UNet belongs to. */
function levelOf({ entry, folder }: Call): unet.Level {
  const [part, index] = entry.module.split(".");
  if (part === "mid_block") return "mid";
  const levels = folder.unet.config.blockOutChannels.length;
  return part === "down_blocks" ? Number(index) : levels - 1 - Number(index);
}

function headsOf(call: Call): number {
  const level = levelOf(call);
  return call.folder.unet.config.numAttentionHeads.at(level === "mid" ? -1 : level)!;
}

/** Blocks get time and text ready for use; PyTorch's get the embeddings. */
function stage(call: Call): unet.Stage {
  const { root, entry, x } = call;
  const at = (path: string) => root.at(path.slice("unet.".length));
  const temb = "temb" in entry.inputs ? silu(x("temb")) : undefined;
  const context = "encoder_hidden_states" in entry.inputs ? x("encoder_hidden_states") : undefined;
  return {
    config: call.folder.unet.config,
    norm: norm(call),
    time: (path) => layers.dense(at(path).at("time_emb_proj"), temb!),
    text: (path) => layers.keysAndValues(at(path), context!),
  };
}

function upBlock(call: Call): Tensor {
  const { w, entry, x } = call;
  const h = x("hidden_states");
  const [batch, height, width] = h.shape as [number, number, number];
  const size = (entry.inputs.upsample_size as number[] | undefined) ?? [2 * height, 2 * width];
  // The block takes the size to come from the skip behind its own.
  const next = tensor(new Float32Array(batch * size[0]! * size[1]!), [batch, ...size, 1]);
  const skips = [next, ...call.list("res_hidden_states_tuple")];
  return unet.upBlock(w, stage(call), Number(entry.module.split(".")[1]), h, skips);
}

function wholeUnet({ w, entry, folder, x, dtype }: Call): Tensor {
  const { config } = folder.unet;
  const sinusoids = unet.timestepEmbedding([entry.inputs.timestep as number], config);
  const label = "class_labels" in entry.inputs ? slice(x("class_labels"), 0, 0, 1) : undefined;
  const times = unet.timeProjections(w, tensor(sinusoids, [1, sinusoids.length], dtype), label);
  const projections = unet.textProjections(w, config, x("encoder_hidden_states"));
  return unet.unet(w, config, x("sample"), { times, text: (path) => projections.get(path)! });
}

function attention(call: Call): Tensor {
  const { w, entry, x } = call;
  const h = x("hidden_states");
  if (entry.component === "vae") return vae.pixelAttention(w, norm(call), h);
  if (!("encoder_hidden_states" in entry.inputs)) return layers.selfAttention(w, h, headsOf(call));
  const keysValues = layers.keysAndValues(w, x("encoder_hidden_states"));
  return layers.crossAttention(w, h, keysValues, headsOf(call));
}

function downsample({ w, entry, folder, x }: Call): Tensor {
  if (entry.component === "vae")
    return layers.downsample(w, x("hidden_states"), vae.VAE_DOWN_PADDING);
  const padding = folder.unet.config.downsamplePadding;
  return layers.downsample(w, x("hidden_states"), padding === 0 ? [0, 1, 0, 1] : padding);
}

function resnet(call: Call): Tensor {
  const { w, entry, x } = call;
  const time = "temb" in entry.inputs ? stage(call).time(w.path) : undefined;
  return layers.resnet(w, x("input_tensor"), norm(call), time);
}

const BLOCKS: Readonly<Record<string, Build>> = {
  CLIPTextModel: (call) => textEncoder(call.w, text(call), call.x("input_ids"), call.dtype),
  CLIPTextEmbeddings: ({ w, x, dtype }) => embed(w, x("input_ids"), dtype),
  CLIPEncoderLayer: (call) => textLayer(call.w, text(call), call.x("hidden_states")),
  CLIPAttention: (call) => causalAttention(call.w, text(call), call.x("hidden_states")),
  CLIPMLP: (call) => mlp(call.w, text(call), call.x("hidden_states")),
  LayerNorm: ({ w, x }) => layers.normalize(w, x("input"), 1e-5),
  GroupNorm: (call) => layers.group(call.w, call.x("input"), norm(call)),
  Conv2d: ({ w, x }) =>
    layers.conv(w, x("input"), { padding: (w.tensor("weight").shape[2]! - 1) / 2 }),
  ResnetBlock2D: resnet,
  Downsample2D: downsample,
  Upsample2D: ({ w, entry, x }) =>
    layers.upsample(w, x("hidden_states"), entry.inputs.output_size as [number, number]),
  Attention: attention,
  GEGLU: ({ w, x }) => layers.geglu(w, x("hidden_states")),
  FeedForward: ({ w, x }) => layers.feedForward(w, x("hidden_states")),
  BasicTransformerBlock: (call) =>
    unet.transformerBlock(call.w, stage(call), levelOf(call), call.x("hidden_states")),
  Transformer2DModel: (call) =>
    unet.transformer(call.w, stage(call), levelOf(call), call.x("hidden_states")),
  TimestepEmbedding: ({ w, x }) => unet.timeEmbedding(w, x("sample")),
  Timesteps: ({ folder, x }) => {
    const { config } = folder.unet;
    const timesteps = [...(x("timesteps").attrs.data as ArrayLike<number> & Iterable<number>)];
    const data = unet.timestepEmbedding(timesteps, config);
    return tensor(data, [timesteps.length, data.length / timesteps.length], "f32");
  },
  DownBlock2D: downBlock,
  CrossAttnDownBlock2D: downBlock,
  UNetMidBlock2DCrossAttn: (call) => unet.midBlock(call.w, stage(call), call.x("hidden_states")),
  UpBlock2D: upBlock,
  CrossAttnUpBlock2D: upBlock,
  UNet2DConditionModel: wholeUnet,
  UNetMidBlock2D: (call) => vae.midBlock(call.w, norm(call), call.x("hidden_states")),
  UpDecoderBlock2D: (call) => vae.upBlock(call.w, norm(call), call.x("hidden_states")),
  Encoder: (call) => vae.encoder(call.w, norm(call), call.x("sample")),
  AutoencoderKL: (call) =>
    "z" in call.entry.inputs
      ? vae.vaeDecoder(call.w, call.folder.vae.config, call.x("z"))
      : vae.vaeEncoder(call.w, call.folder.vae.config, call.x("x")),
};

function downBlock(call: Call): Tensor[] {
  const skips: Tensor[] = [];
  const level = levelOf(call) as number;
  const h = unet.downBlock(call.w, stage(call), level, call.x("hidden_states"), skips);
  return [h, ...skips];
}
