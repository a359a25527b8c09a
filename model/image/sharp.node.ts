/** JPEG, WebP and what else `sharp` reads, where its user has installed it: it is an optional peer. */
import { DiffusionError } from "../../engine/errors.ts";
import type { RgbImage } from "./image.ts";
import { MAX_PIXELS } from "./png-samples.ts";

/** The part of sharp that is used. */
export type Sharp = (bytes: Uint8Array, options: { limitInputPixels: number }) => SharpImage;

interface SharpImage {
  rotate(): SharpImage;
  toColourspace(name: "srgb"): SharpImage;
  raw(): SharpImage;
  toBuffer(options: { resolveWithObject: true }): Promise<{
    data: Uint8Array;
    info: { width: number; height: number };
  }>;
}

export type LoadSharp = () => Promise<Sharp | undefined>;

/** Undefined where sharp is not installed, or not for this machine. */
export const loadSharp: LoadSharp = async () => {
  // Not a literal: there are no types of it to check against, and it may be absent.
  const name = "sharp";
  try {
    return (await import(name)).default;
  } catch {
    return undefined;
  }
};

/** Upright by the EXIF orientation, in sRGB, the first picture of an animation. Throws IMAGE_*. */
export async function decodeWithSharp(
  bytes: Uint8Array,
  { name, kind, load }: { name: string; kind: string; load: LoadSharp },
): Promise<RgbImage> {
  const sharp = await load();
  if (!sharp)
    throw new DiffusionError("IMAGE_FORMAT", `${name} is ${kind}; without sharp only PNG is read`, {
      hint: "Install `sharp` (npm i sharp), or pass a PNG.",
    });
  try {
    const image = sharp(bytes, { limitInputPixels: MAX_PIXELS }).rotate();
    const { data, info } = await image
      .toColourspace("srgb")
      .raw()
      .toBuffer({ resolveWithObject: true });
    return { width: info.width, height: info.height, data };
  } catch (cause) {
    const { message } = cause as Error;
    const code = /pixel limit/.test(message) ? "IMAGE_SIZE" : "IMAGE_CORRUPT";
    throw new DiffusionError(code, `${name} is ${kind} that cannot be decoded: ${message}`, {
      hint: `Name a file that opens in a viewer, of at most ${MAX_PIXELS / 2 ** 20} megapixels.`,
      cause,
    });
  }
}
