/** The tensors of a single file, apart by what they belong to, under the original's names. */
import type { StoredTensor } from "../../engine/safetensors.ts";
import type { WeightPart } from "../names.ts";
import { emaName } from "./ema.ts";

export type Tensors = ReadonlyMap<string, StoredTensor>;

export interface LdmParts extends Readonly<Record<WeightPart | "depth", Tensors>> {
  /** The UNet's weights are those of the moving average, since no others are there. */
  readonly ema: boolean;
  /** Names that stand in `IGNORED`: nothing that runs. */
  readonly ignored: readonly string[];
  /** Names that belong to nothing known. */
  readonly unknown: readonly string[];
}

const PREFIXES: readonly (readonly [prefix: string, part: WeightPart | "depth"])[] = [
  ["model.diffusion_model.", "unet"],
  ["first_stage_model.", "vae"],
  ["cond_stage_model.model.", "text_encoder"],
  ["depth_model.model.", "depth"],
];

/** Tables of the noise schedule (`register_schedule` of ddpm.py), which follow from two numbers. */
const SCHEDULE =
  /^(?:low_scale_model\.)?(?:betas|alphas_cumprod(?:_prev)?|(?:sqrt|log|posterior)_\w+|logvar|lvlb_weights|scale_factor)$/;

const IGNORED: readonly RegExp[] = [
  SCHEDULE,
  /^low_scale_model\./,
  /^model_ema\./,
  // Of CLIP as it was trained with pictures. SD2 stops before the projection.
  /^cond_stage_model\.(?:model\.)?(?:text_projection|logit_scale|attn_mask|visual\..*)$/,
  // The discriminator that trained the autoencoder.
  /^first_stage_model\.(?:loss\.|model_ema\.)/,
];

/** Sorts `tensors` by prefix. The moving average is taken only where the UNet itself is not there. */
export function separate(tensors: Tensors): LdmParts {
  const parts = {
    unet: new Map<string, StoredTensor>(),
    vae: new Map<string, StoredTensor>(),
    text_encoder: new Map<string, StoredTensor>(),
    depth: new Map<string, StoredTensor>(),
  };
  const ema = !hasPrefix(tensors, "model.diffusion_model.");
  const ignored: string[] = [];
  const unknown: string[] = [];
  for (const [stored, tensor] of tensors) {
    const name = (ema && emaName(stored)) || stored;
    const [prefix, part] = PREFIXES.find(([prefix]) => name.startsWith(prefix)) ?? [];
    if (IGNORED.some((pattern) => pattern.test(name))) ignored.push(stored);
    else if (prefix === undefined || part === undefined) unknown.push(stored);
    else parts[part].set(name.slice(prefix.length), tensor);
  }
  return { ...parts, ema: ema && parts.unet.size > 0, ignored, unknown };
}

function hasPrefix(tensors: Tensors, prefix: string): boolean {
  for (const name of tensors.keys()) if (name.startsWith(prefix)) return true;
  return false;
}
