/** Parts of different models fit their own configurations, and not one another. */
import { DiffusionError } from "../../engine/errors.ts";
import type { TextConfig } from "./text.ts";
import type { UnetConfig } from "./unet.ts";
import type { VaeConfig } from "./vae.ts";

/** Throws CONFIG if the text's width or the latents' channels are not what the UNet takes. */
export function checkTogether(text: TextConfig, unet: UnetConfig, vae: VaeConfig): void {
  const wrong = unet.crossAttentionDim.find((width) => width !== text.hiddenSize);
  const pairs = [
    [
      "unet: cross_attention_dim",
      wrong ?? text.hiddenSize,
      "text_encoder: hidden_size",
      text.hiddenSize,
    ],
    ["unet: out_channels", unet.outChannels, "vae: latent_channels", vae.latentChannels],
  ] as const;
  for (const [key, value, other, wanted] of pairs) {
    if (value === wanted) continue;
    const message = `${key} is ${value}, but ${other} is ${wanted}`;
    const hint = "the parts come from different models: take them all from one folder";
    throw new DiffusionError("CONFIG", message, { hint });
  }
}
