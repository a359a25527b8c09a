import { mkdir, mkdtemp, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { dirname, join } from "node:path";
import { type StoredDtype, writeSafetensors } from "../../engine/safetensors.ts";
import { textConfig, unetConfig, vaeConfig } from "../../model/config.ts";
import { expectedText, expectedUnet, expectedVae } from "../../model/expected.ts";

/** The JSON files of a very small model, by path. */
export const TINY = {
  "model_index.json": {
    _class_name: "StableDiffusionPipeline",
    text_encoder: ["transformers", "CLIPTextModel"],
    unet: ["diffusers", "UNet2DConditionModel"],
    vae: ["diffusers", "AutoencoderKL"],
    tokenizer: ["transformers", "CLIPTokenizer"],
    scheduler: ["diffusers", "DDIMScheduler"],
    safety_checker: [null, null],
  },
  "text_encoder/config.json": {
    vocab_size: 12,
    hidden_size: 8,
    intermediate_size: 16,
    num_hidden_layers: 1,
    num_attention_heads: 2,
    hidden_act: "gelu",
  },
  "unet/config.json": {
    block_out_channels: [8, 16],
    down_block_types: ["CrossAttnDownBlock2D", "DownBlock2D"],
    up_block_types: ["UpBlock2D", "CrossAttnUpBlock2D"],
    attention_head_dim: [1, 2],
    layers_per_block: 1,
    cross_attention_dim: 8,
    norm_num_groups: 4,
  },
  "vae/config.json": { block_out_channels: [8], norm_num_groups: 4 },
  "scheduler/scheduler_config.json": {
    _class_name: "DDIMScheduler",
    prediction_type: "v_prediction",
  },
  "tokenizer/vocab.json": { "!": 0 },
  "tokenizer/merges.txt": "#version: 0.2\n",
  "tokenizer/special_tokens_map.json": { pad_token: "!" },
};

/** The shape tables of the very small model, by path of its weights. */
export const TINY_SHAPES = {
  "text_encoder/model.safetensors": expectedText(textConfig(TINY["text_encoder/config.json"])),
  "unet/diffusion_pytorch_model.safetensors": expectedUnet(unetConfig(TINY["unet/config.json"])),
  "vae/diffusion_pytorch_model.safetensors": expectedVae(vaeConfig(TINY["vae/config.json"])),
};

export type Files = Record<string, string | Uint8Array | object | null>;

/** A new folder with the very small model, zero weights, and `changes`: null leaves a file out. */
export async function tinyFolder(changes: Files = {}): Promise<string> {
  const folder = await mkdtemp(join(tmpdir(), "tiny-model-"));
  const weights = Object.entries(TINY_SHAPES).map(([path, shapes]) => [path, zeros(shapes)]);
  const files: Files = { ...TINY, ...Object.fromEntries(weights), ...changes };
  for (const [path, content] of Object.entries(files)) {
    if (content === null) continue;
    const raw = typeof content === "string" || content instanceof Uint8Array;
    await mkdir(dirname(join(folder, path)), { recursive: true });
    await writeFile(join(folder, path), raw ? content : JSON.stringify(content));
  }
  return folder;
}

/** A safetensors file of zeros; `rename` may change the names. */
export function zeros(
  shapes: Iterable<readonly [string, readonly number[]]>,
  rename: (name: string) => string = (name) => name,
  dtype: StoredDtype = "F16",
): Uint8Array {
  const tensors = [...shapes].map(([name, shape]) => {
    const data = new Uint8Array(2 * shape.reduce((a, b) => a * b, 1));
    return [rename(name), { dtype, shape, data }] as const;
  });
  return writeSafetensors(new Map(tensors));
}
