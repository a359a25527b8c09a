/**
 * The moving average of the UNet's weights: the original names it without dots, since PyTorch allows
 * none in a buffer's name (ldm/modules/ema.py): `model_ema.diffusion_modelinput_blocks10in_layers0weight`.
 */

const PREFIX = "model_ema.diffusion_model";

/** The words of the UNet's names, none of which begins with another that stands before it. */
const WORDS = [
  ...["input_blocks", "middle_block", "output_blocks", "time_embed", "label_emb"],
  ...["in_layers", "emb_layers", "out_layers", "skip_connection"],
  ...["transformer_blocks", "attn1", "attn2", "norm1", "norm2", "norm3", "norm"],
  ...["proj_in", "proj_out", "proj", "to_q", "to_k", "to_v", "to_out", "ff", "net"],
  ...["op", "conv", "out", "weight", "bias"],
];
const PIECE = new RegExp(`(${WORDS.join("|")})(\\d*)`, "y");

/** The name with its dots, or undefined if `flat` is not that of a UNet's average. */
export function emaName(flat: string): string | undefined {
  if (!flat.startsWith(PREFIX)) return undefined;
  const path = ["model", "diffusion_model"];
  PIECE.lastIndex = PREFIX.length;
  while (PIECE.lastIndex < flat.length) {
    const found = PIECE.exec(flat);
    if (!found) return undefined;
    path.push(found[1]!, ...numbers(found[1]!, found[2]!));
  }
  return path.join(".");
}

/** A block's list counts as far as it is long; a place in the block is one digit, as are all others. */
function numbers(word: string, digits: string): string[] {
  if (word !== "input_blocks" && word !== "output_blocks") return [...digits];
  return [digits.slice(0, -1), digits.slice(-1)];
}
