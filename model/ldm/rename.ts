/** A part of a single file as diffusers has it: names, the query-key-value split, dense attentions. */
import type { StoredTensor } from "../../engine/safetensors.ts";
import { canonicalNames, type WeightPart } from "../names.ts";
import type { Tensors } from "./parts.ts";
import { diffusersName, type LdmSizes } from "./rules.ts";
import { asDense, third } from "./slices.ts";

/** The tensors of `part` under diffusers' names. Layers of text from `layers` on are left out. */
export function renamePart(
  part: WeightPart,
  tensors: Tensors,
  sizes: LdmSizes & { readonly layers: number },
): Tensors {
  const renamed = new Map<string, StoredTensor>();
  for (const [name, tensor] of tensors) {
    const to = diffusersName(part, name, sizes);
    if (isBeyond(to, sizes.layers)) continue;
    for (const made of layout(part, to, tensor)) renamed.set(made.name, made);
  }
  return canonicalNames(part, renamed);
}

/** SD2 takes the text before CLIP's last layer, which is in the file all the same. */
function isBeyond(name: string, layers: number): boolean {
  const layer = /^encoder\.layers\.(\d+)\./.exec(name)?.[1];
  return layer !== undefined && Number(layer) >= layers;
}

const PACKED = /^(.*\.self_attn)\.in_proj_(weight|bias)$/;
const PIXEL_ATTENTION = /\.attentions\.\d+\.\w+(?:\.0)?\.weight$/;

function layout(part: WeightPart, name: string, tensor: StoredTensor): StoredTensor[] {
  const packed = part === "text_encoder" ? PACKED.exec(name) : null;
  if (packed) {
    const [, path, kind] = packed;
    return ["q", "k", "v"].map((which, i) => third(tensor, `${path}.${which}_proj.${kind}`, i));
  }
  const named = { ...tensor, name };
  return [part === "vae" && PIXEL_ATTENTION.test(name) ? asDense(named) : named];
}
