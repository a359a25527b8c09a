/** Pictures and depth maps in a browser: PNG as in Node, bit for bit; other kinds as the browser decodes them. */
import { DiffusionError } from "../../engine/errors.ts";
import { blobSource } from "../files/blob-files.ts";
import { decodePng, decodeSamples } from "./decode-png.ts";
import type { DepthMap } from "./depth.ts";
import { byteDepth, depthOfPng, readDepthTensor } from "./depth-file.ts";
import type { RgbImage } from "./image.ts";
import { recogniseImage } from "./kind.ts";
import { MAX_PIXELS } from "./png-samples.ts";

/** More than 16 megapixels of the widest PNG need. */
const MAX_FILE_BYTES = 256 * 2 ** 20;

/**
 * The picture in `bytes`: RGB, or RGBA where it has alpha. Throws IMAGE_FORMAT, IMAGE_TRUNCATED,
 * IMAGE_CORRUPT, IMAGE_SIZE.
 */
export async function readImage(bytes: Uint8Array, name = "the image"): Promise<RgbImage> {
  const kind = recogniseImage(bytes);
  if (kind === undefined || kind === "a PNG" || !BROWSERS.test(kind)) return decodePng(bytes, name);
  let bitmap: ImageBitmap;
  try {
    bitmap = await createImageBitmap(new Blob([bytes as Uint8Array<ArrayBuffer>]));
  } catch (cause) {
    throw new DiffusionError("IMAGE_CORRUPT", `${name} is ${kind} that cannot be decoded`, {
      hint: "Take a file that this browser shows, or a PNG.",
      cause,
    });
  }
  return pixelsOf(bitmap, name);
}

const BROWSERS = /JPEG|WebP|GIF|AVIF|BMP/;

function pixelsOf(bitmap: ImageBitmap, name: string): RgbImage {
  const { width, height } = bitmap;
  if (width * height > MAX_PIXELS) {
    bitmap.close();
    const message = `${name} is ${width}x${height}: at most ${MAX_PIXELS / 2 ** 20} megapixels are read`;
    throw new DiffusionError("IMAGE_SIZE", message, { hint: "Take a smaller picture." });
  }
  const context = new OffscreenCanvas(width, height).getContext("2d")!;
  context.drawImage(bitmap, 0, 0);
  bitmap.close();
  return context.getImageData(0, 0, width, height);
}

/** As `readImage`, of a file that was chosen, or at an address. Also throws IMAGE_MISSING. */
export async function readImageFile(file: Blob | string): Promise<RgbImage> {
  return readImage(...(await readWhole(file)));
}

/**
 * A depth map: a picture's grey (8 or 16 bits) as 0..1, or the tensor `depth` of a safetensors file,
 * [H, W] or [1, H, W], f32 or f16. Throws as `readImageFile`, and WEIGHTS_* for a safetensors file
 * that is none.
 */
export async function readDepthFile(file: Blob | string): Promise<DepthMap> {
  const [bytes, name] = await readWhole(file);
  if (name.toLowerCase().endsWith(".safetensors"))
    return readDepthTensor(blobSource(new Blob([bytes]), name));
  if (recogniseImage(bytes) !== "a PNG") return byteDepth(await readImage(bytes, name));
  return depthOfPng(await decodeSamples(bytes, name));
}

async function readWhole(file: Blob | string): Promise<[Uint8Array<ArrayBuffer>, string]> {
  const name = typeof file === "string" ? file : (file as File).name || "the image";
  const blob = typeof file === "string" ? await fetched(file) : file;
  if (blob.size > MAX_FILE_BYTES)
    throw new DiffusionError(
      "IMAGE_SIZE",
      `${name} has ${blob.size} bytes, too many for a picture`,
    );
  try {
    return [new Uint8Array(await blob.arrayBuffer()), name];
  } catch (cause) {
    throw missing(name, "cannot be read any more", cause);
  }
}

async function fetched(address: string): Promise<Blob> {
  const response = await fetch(address).catch((cause) => {
    throw missing(address, "cannot be fetched", cause);
  });
  if (!response.ok) throw missing(address, `is not there (status ${response.status})`);
  return response.blob();
}

function missing(name: string, what: string, cause?: unknown): DiffusionError {
  return new DiffusionError("IMAGE_MISSING", `${name} ${what}`, {
    hint: "Choose the file again, or check the address.",
    cause,
  });
}
