/**
 * Masks for inpainting, as StableDiffusionInpaintPipeline makes them of a picture: resized, grey, and
 * then cut at one half. 1 is repainted, 0 is kept.
 */
import { DiffusionError } from "../../engine/errors.ts";
import { alphaOf, channelsOf, type RgbImage, toGrey, toRgb } from "./image.ts";
import { type HostTensor, type PrepareOptions, preparedSize, prepareImage } from "./prepare.ts";
import { resize } from "./resize.ts";

/** What of a mask is repainted: the white of it (diffusers), or where its alpha is 0 (OpenAI's API). */
export type MaskMode = "white" | "alpha";

export interface MaskOptions extends PrepareOptions {
  /** Default `white`. */
  readonly maskMode?: MaskMode | undefined;
}

/** 0 or 1, [1, H, W, 1]. Throws IMAGE_FORMAT where `alpha` is asked of a mask that has none. */
export function prepareMask(mask: RgbImage, options: MaskOptions = {}): HostTensor {
  const { width, height } = preparedSize(mask, options);
  const wanted = options.maskMode === "alpha" ? clearParts(mask) : withoutAlpha(mask);
  // Colours are resized as such and turn grey after it: diffusers' order, and not quite the same.
  const { data } = toGrey(resize(wanted, width, height, options.filter ?? "lanczos"));
  return { data: Float32Array.from(data, (byte) => +(byte >= 128)), shape: [1, height, width, 1] };
}

function withoutAlpha(mask: RgbImage): RgbImage {
  return channelsOf(mask, "the mask") === 1 ? mask : toRgb(mask);
}

function clearParts(mask: RgbImage): RgbImage {
  if (channelsOf(mask, "the mask") !== 4)
    throw new DiffusionError("IMAGE_FORMAT", 'the mask has no alpha, but maskMode is "alpha"', {
      hint: 'Make what is to be repainted transparent, or give a mask in black and white and maskMode "white".',
    });
  const alpha = alphaOf(mask);
  return { ...alpha, data: alpha.data.map((value) => 255 - value) };
}

/** The picture with 0 (grey) where it is to be repainted: image [1,H,W,3] x (mask [1,H,W,1] < 0.5). */
export function maskedImage(image: HostTensor, mask: HostTensor): HostTensor {
  const data = image.data.map((sample, i) => (mask.data[Math.trunc(i / 3)]! < 0.5 ? sample : 0));
  return { ...image, data };
}

/** [1, H / factor, W / factor, 1]: every `factor`th pixel, as `interpolate` with mode "nearest". */
export function latentMask({ data, shape: [, H, W] }: HostTensor, factor = 8): HostTensor {
  const height = Math.trunc(H / factor);
  const width = Math.trunc(W / factor);
  const made = new Float32Array(height * width);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      made[y * width + x] = data[Math.floor((y * H) / height) * W + Math.floor((x * W) / width)]!;
  return { data: made, shape: [1, height, width, 1] };
}

export interface InpaintInputs {
  /** -1..1, [1, H, W, 3]. */
  readonly image: HostTensor;
  /** 1 is repainted, [1, H, W, 1]. */
  readonly mask: HostTensor;
  /** What the VAE encodes beside the mask, [1, H, W, 3]. */
  readonly maskedImage: HostTensor;
  /** [1, H / 8, W / 8, 1]. */
  readonly latentMask: HostTensor;
  readonly warnings: readonly string[];
}

/**
 * All that inpainting wants of a picture and a mask, both brought to `width` x `height` (diffusers'
 * default is the checkpoint's own size, whatever the picture's). Throws IMAGE_SIZE, IMAGE_FORMAT.
 */
export function prepareInpaint(
  image: RgbImage,
  mask: RgbImage,
  options: MaskOptions & { readonly width: number; readonly height: number },
): InpaintInputs {
  const prepared = prepareImage(image, options);
  const condition = prepareMask(mask, options);
  return {
    image: prepared,
    mask: condition,
    maskedImage: maskedImage(prepared, condition),
    latentMask: latentMask(condition, options.multiple),
    warnings: checkMask(image, mask, condition),
  };
}

/** Warnings about a mask: another size than the image's, or one that repaints nothing. */
export function checkMask(
  image: { readonly width: number; readonly height: number },
  mask: { readonly width: number; readonly height: number },
  prepared: HostTensor,
): string[] {
  const warnings: string[] = [];
  if (mask.width !== image.width || mask.height !== image.height)
    warnings.push(
      `the mask is ${mask.width}x${mask.height} and the image ${image.width}x${image.height}: each is resized by itself`,
    );
  const repainted = prepared.data.reduce((sum, value) => sum + value, 0);
  if (repainted === 0)
    warnings.push("the mask is empty: nothing is repainted (white, or alpha 0, is repainted)");
  return warnings;
}
