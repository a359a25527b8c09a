/** Pictures on the host: bytes of one, three or four channels, and what is done to their channels. */
import { DiffusionError } from "../../engine/errors.ts";

/**
 * A picture: grey, RGB or RGBA by the number of its bytes, rows from the top. `ImageData` and the
 * pictures that a pipeline gives are such pictures.
 */
export interface RgbImage {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** 1 (grey), 3 (RGB) or 4 (RGBA). Throws IMAGE_SIZE where data, width and height do not fit. */
export function channelsOf({ width, height, data }: RgbImage, what = "the image"): 1 | 3 | 4 {
  const channels = data.length / (width * height);
  const whole = Number.isSafeInteger(width) && Number.isSafeInteger(height);
  if (whole && width > 0 && height > 0 && (channels === 1 || channels === 3 || channels === 4))
    return channels;
  throw new DiffusionError(
    "IMAGE_SIZE",
    `${what} is ${width}x${height} with ${data.length} bytes; wanted 1, 3 or 4 bytes a pixel`,
    { hint: "Give grey, RGB or RGBA bytes, rows from the top, without padding." },
  );
}

/**
 * Three channels. Alpha is dropped and the colours under it come out, as with Pillow's
 * `convert("RGB")`: nothing is blended over white.
 */
export function toRgb(image: RgbImage): RgbImage {
  const channels = channelsOf(image);
  if (channels === 3) return image;
  const { width, height, data } = image;
  const green = channels === 1 ? 0 : 1;
  const rgb = new Uint8Array(width * height * 3);
  for (let from = 0, to = 0; to < rgb.length; from += channels, to += 3) {
    rgb[to] = data[from]!;
    rgb[to + 1] = data[from + green]!;
    rgb[to + 2] = data[from + 2 * green]!;
  }
  return { width, height, data: rgb };
}

/** One channel: ITU-R 601-2 luma in 16-bit fixed point, as Pillow's `convert("L")`. Drops alpha. */
export function toGrey(image: RgbImage): RgbImage {
  const channels = channelsOf(image);
  if (channels === 1) return image;
  const { width, height, data } = image;
  const grey = new Uint8Array(width * height);
  for (let from = 0, to = 0; to < grey.length; from += channels, to++)
    grey[to] =
      (data[from]! * 19595 + data[from + 1]! * 38470 + data[from + 2]! * 7471 + 0x8000) >> 16;
  return { width, height, data: grey };
}

/** The alpha channel by itself; all 255 where there is none. */
export function alphaOf(image: RgbImage): RgbImage {
  const { width, height, data } = image;
  const alpha = new Uint8Array(width * height).fill(255);
  if (channelsOf(image) === 4) for (let i = 0; i < alpha.length; i++) alpha[i] = data[4 * i + 3]!;
  return { width, height, data: alpha };
}
