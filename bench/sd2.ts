/** The full-size model without weights: from the configurations that the tests know. */
import { readFileSync } from "node:fs";
import type { ConfigFiles } from "../tools/plans/full-size.ts";

const KEYS = new URL("../test/fixtures/sd2-keys.json", import.meta.url);

/** Stable Diffusion 2's config.json files by folder. */
export function sd2Configs(): ConfigFiles {
  const parts = JSON.parse(readFileSync(KEYS, "utf8")) as Record<string, { config: unknown }>;
  const config = (part: string) => parts[part]!.config;
  return { text_encoder: config("text_encoder"), unet: config("unet"), vae: config("vae") };
}
