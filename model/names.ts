/** The one place where old and new spellings of a tensor's name become the one that we use. */
import { DiffusionError } from "../engine/errors.ts";
import type { StoredTensor } from "../engine/safetensors.ts";

export type WeightPart = "text_encoder" | "unet" | "vae";

type Renaming = readonly [from: RegExp, to: string];

const RENAMINGS: Readonly<Record<WeightPart, readonly Renaming[]>> = {
  // transformers wrote the prefix until 5.6.
  text_encoder: [[/^text_model\./, ""]],
  unet: [],
  // diffusers' AttentionBlock of 2022, as in the published SD2 folders.
  vae: [
    [/(\.attentions\.\d+)\.query\./, "$1.to_q."],
    [/(\.attentions\.\d+)\.key\./, "$1.to_k."],
    [/(\.attentions\.\d+)\.value\./, "$1.to_v."],
    [/(\.attentions\.\d+)\.proj_attn\./, "$1.to_out.0."],
  ],
};

/** The tensors under today's names. Throws WEIGHTS_MISMATCH if two of them become one. */
export function canonicalNames(
  part: WeightPart,
  tensors: ReadonlyMap<string, StoredTensor>,
): ReadonlyMap<string, StoredTensor> {
  const renamed = new Map<string, StoredTensor>();
  for (const [stored, tensor] of tensors) {
    const name = RENAMINGS[part].reduce((text, [from, to]) => text.replace(from, to), stored);
    if (renamed.has(name)) {
      const message = `${part}: two tensors are called ${name.slice(0, 100)}, once in an old spelling`;
      throw new DiffusionError("WEIGHTS_MISMATCH", message);
    }
    renamed.set(name, name === stored ? tensor : { ...tensor, name });
  }
  return renamed;
}
