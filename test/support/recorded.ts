/** Recorded stages as `tools/verify` takes them, made of the golden tensors of tiny-v. */
import { mkdirSync, readFileSync, writeFileSync } from "node:fs";
import { join } from "node:path";
import { readSafetensors, type TensorBytes, writeSafetensors } from "../../engine/safetensors.ts";
import { type Dump, openDump } from "../../tools/verify/dump.ts";
import { memorySource } from "./byte-source.ts";
import { readGolden } from "./golden.ts";
import type { PictureCase } from "./pictures.ts";
import { requestOf } from "./pictures.ts";

const GOLDEN = new URL("../fixtures/golden/tiny-v/", import.meta.url);

/** Every network once, the clip skip, and a picture of one step. */
const CASES = [
  {
    ...{ stage: "text", name: "text encoder", skip: 0 },
    ids: "text_encoder:text/plain/embeddings/input_ids",
    hidden: "text_encoder:text/plain/final_layer_norm/output",
  },
  {
    ...{ stage: "text", name: "text encoder, clip skip 1", skip: 1 },
    ids: "clip_skip:input_ids",
    hidden: "clip_skip:skip.1",
  },
  {
    ...{ stage: "unet", name: "UNet", timesteps: [501.5] },
    sample: "unet:unet/5x7/sample",
    context: "unet:unet/5x7/encoder_hidden_states",
    outputs: ["unet:unet/5x7/output"],
  },
  {
    ...{ stage: "encode", name: "VAE encoder" },
    picture: "vae:vae-encode/24x16/encoder/sample",
    moments: "vae:vae-encode/24x16/output",
  },
  {
    ...{ stage: "decode", name: "VAE decoder" },
    z: "vae:vae-decode/3x2/z",
    picture: "vae:vae-decode/3x2/output",
  },
  {
    ...{ stage: "picture", name: "whole picture" },
    latents: "pictures:one-step/latents",
    image: "pictures:one-step/pictures",
    request: requestOf(
      readGolden<PictureCase[]>("tiny-v", "pictures.json").find(({ name }) => name === "one-step")!,
    ),
  },
] as const;

/** Writes those of the named stages into `folder` as `verify_dump.py` would, and opens them. */
export async function recordGoldens(folder: string, stages?: readonly string[]): Promise<Dump> {
  const cases = CASES.filter(({ stage }) => !stages || stages.includes(stage));
  const tensors = new Map<string, TensorBytes>();
  for (const file of ["text_encoder", "clip_skip", "unet", "vae", "pictures"]) {
    const bytes = readFileSync(new URL(`${file}.safetensors`, GOLDEN));
    const found = await readSafetensors(memorySource(bytes, file));
    for (const [name, { dtype, shape, byteLength, read }] of found.tensors) {
      const data = new Uint8Array(await read(0, byteLength));
      tensors.set(`${file}:${name}`, { dtype, shape, data });
    }
  }
  const named = cases
    .flatMap((each) => Object.values(each).flat())
    .filter((v) => tensors.has(v as string));
  const kept = new Map(named.map((name) => [name as string, tensors.get(name as string)!]));
  mkdirSync(folder, { recursive: true });
  writeFileSync(join(folder, "stages.safetensors"), writeSafetensors(kept));
  const manifest = { versions: {}, pipeline: "StableDiffusionPipeline", notes: [], cases };
  writeFileSync(join(folder, "stages.json"), JSON.stringify(manifest));
  return openDump(folder);
}
