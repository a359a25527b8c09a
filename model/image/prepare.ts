/**
 * Pictures as the networks want them, as diffusers' VaeImageProcessor makes them (image_processor.py):
 * resized as bytes, then float32 in -1..1. The sizes are multiples of the VAE's factor.
 */
import { DiffusionError } from "../../engine/errors.ts";
import { type RgbImage, toRgb } from "./image.ts";
import { type Filter, resize } from "./resize.ts";

/** Channels last: [1, height, width, channels]. */
export interface HostTensor {
  readonly data: Float32Array;
  readonly shape: readonly [batch: 1, height: number, width: number, channels: number];
}

export interface PrepareOptions {
  /** Pixels, brought down to a multiple of `multiple`; by default the image's own. */
  readonly width?: number | undefined;
  readonly height?: number | undefined;
  /** 8 (default); 4 for the x4 upscaler. */
  readonly multiple?: number | undefined;
  /** Lanczos (default); the x4 upscaler takes bicubic. */
  readonly filter?: Filter | undefined;
}

/** What the x4 upscaler does: `prepareImage(image, UPSCALE)`. */
export const UPSCALE = { multiple: 4, filter: "bicubic" } as const satisfies PrepareOptions;

/** The size that an image is brought to. Throws IMAGE_SIZE where nothing of it would be left. */
export function preparedSize(
  image: { readonly width: number; readonly height: number },
  { width = image.width, height = image.height, multiple = 8 }: PrepareOptions = {},
): { readonly width: number; readonly height: number } {
  const down = (pixels: number) => pixels - (pixels % multiple);
  const size = { width: down(width), height: down(height) };
  if (size.width >= multiple && size.height >= multiple) return size;
  throw new DiffusionError(
    "IMAGE_SIZE",
    `the image is ${width}x${height}; the model wants at least ${multiple}x${multiple}`,
    { hint: "Enlarge it, or give width and height." },
  );
}

/** RGB in -1..1, [1, H, W, 3]. Alpha is dropped (see `toRgb`). Throws IMAGE_SIZE. */
export function prepareImage(image: RgbImage, options: PrepareOptions = {}): HostTensor {
  const { width, height } = preparedSize(image, options);
  const { data } = resize(toRgb(image), width, height, options.filter ?? "lanczos");
  return { data: Float32Array.from(data, (byte) => SIGNED[byte]!), shape: [1, height, width, 3] };
}

/** float32(float32(byte / 255) * 2 - 1), the rounding of NumPy and PyTorch. */
const SIGNED = Float32Array.from({ length: 256 }, (_, byte) => Math.fround(byte / 255) * 2 - 1);
