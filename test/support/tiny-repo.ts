/** The files of a very small repository: right by name, its weights arbitrary bytes. */
import { TINY } from "./tiny-folder.ts";

export function bytes(length: number, seed = 1): Buffer {
  let state = seed;
  return Buffer.from(
    Array.from({ length }, () => {
      state = (state * 1103515245 + 12345) % 2 ** 31;
      return state >> 16;
    }),
  );
}

export const UNET = "unet/diffusion_pytorch_model.safetensors";

/** With what a real one has beside: pickles, pictures, other variants, other frameworks. */
export function tinyRepo(
  changes: Record<string, string | Buffer | null> = {},
): Record<string, string | Buffer> {
  const configs = Object.entries(TINY).map(([path, value]) => [
    path,
    typeof value === "string" ? value : JSON.stringify(value),
  ]);
  const files: Record<string, string | Buffer | null> = {
    ...Object.fromEntries(configs),
    "text_encoder/model.safetensors": bytes(3000, 2),
    "text_encoder/model.fp16.safetensors": bytes(1500, 3),
    "text_encoder/pytorch_model.bin": bytes(10, 4),
    "vae/diffusion_pytorch_model.safetensors": bytes(2000, 5),
    "vae/diffusion_pytorch_model.fp16.safetensors": bytes(1000, 6),
    [UNET]: bytes(200_000, 7),
    "unet/diffusion_pytorch_model.fp16.safetensors": bytes(100_000, 8),
    "v2-1_768-ema-pruned.ckpt": bytes(10, 9),
    "v2-1_768-ema-pruned.safetensors": bytes(5000, 10),
    "README.md": "# tiny",
    ...changes,
  };
  const kept = Object.entries(files).filter(([, data]) => data !== null);
  return Object.fromEntries(kept) as Record<string, string | Buffer>;
}
