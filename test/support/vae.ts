/** The x4 upscaler's VAE in small, and golden results of VAEs beyond a plain decode. */
import { readFileSync } from "node:fs";
import type { Device } from "../../engine/index.ts";
import { WeightCache } from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import { readSafetensors } from "../../engine/safetensors.ts";
import { type VaeConfig, vaeConfig } from "../../model/config.ts";
import type { Setting } from "../../model/painter.ts";
import type { Values } from "../reference/values.ts";
import { memorySource } from "./byte-source.ts";
import { openGolden } from "./golden.ts";

const FOLDER = new URL("../fixtures/tiny-x4-vae/", import.meta.url);

export interface Vae {
  readonly config: VaeConfig;
  readonly weights: Weights;
}

/** tiny-x4-vae: three levels, factor 4, tiles of 8 latents. */
export async function openX4Vae(): Promise<Vae> {
  const config = vaeConfig(JSON.parse(readFileSync(new URL("config.json", FOLDER), "utf8")));
  const bytes = readFileSync(new URL("diffusion_pytorch_model.safetensors", FOLDER));
  const { tensors } = await readSafetensors(memorySource(bytes, "tiny-x4-vae"));
  return { config, weights: Weights.of("vae", tensors) };
}

/** A tensor of golden/vae, as PyTorch lays it out. */
export async function vaeGolden(): Promise<(name: string) => Values> {
  const golden = await openGolden("vae", ["vae.safetensors"]);
  return (name) => golden("vae.safetensors", name);
}

export function settingOf(device: Device, dtype: "f32" | "f16"): Setting {
  const { signal } = new AbortController();
  return { device, weights: new WeightCache(device), dtype, signal };
}
