/** Picture and depth files, checked: content decides, not the name. */
import { readFile, stat } from "node:fs/promises";
import { DiffusionError } from "../../engine/errors.ts";
import { openFile } from "../../engine/platform/file.node.ts";
import { decodePng, decodeSamples } from "./decode-png.node.ts";
import type { DepthMap } from "./depth.ts";
import { byteDepth, depthOfPng, readDepthTensor } from "./depth-file.ts";
import type { RgbImage } from "./image.ts";
import { recogniseImage } from "./kind.ts";
import { decodeWithSharp, type LoadSharp, loadSharp } from "./sharp.node.ts";

/** More than 16 megapixels of the widest PNG need. */
const MAX_FILE_BYTES = 256 * 2 ** 20;

/** What sharp reads, and we do not. */
const NEEDS_SHARP = /JPEG$|WebP|GIF|AVIF|HEIC|TIFF/;

/**
 * The picture in `bytes`: RGB, or RGBA where it has alpha. PNG of every kind; JPEG, WebP and others
 * by way of `sharp`, if it is installed. Throws IMAGE_FORMAT, IMAGE_TRUNCATED, IMAGE_CORRUPT,
 * IMAGE_SIZE.
 */
export async function readImage(
  bytes: Uint8Array,
  name = "the image",
  load: LoadSharp = loadSharp,
): Promise<RgbImage> {
  const kind = recogniseImage(bytes);
  if (kind !== undefined && NEEDS_SHARP.test(kind))
    return decodeWithSharp(bytes, { name, kind, load });
  return decodePng(bytes, name);
}

/** As `readImage`; also throws IMAGE_MISSING where there is no such file, and PATH. */
export async function readImageFile(path: string): Promise<RgbImage> {
  return readImage(await readWhole(path), path);
}

/**
 * A depth map: a picture's grey (8 or 16 bits) as 0..1, or the tensor `depth` of a safetensors file,
 * [H, W] or [1, H, W], f32 or f16. Throws as `readImageFile`, and WEIGHTS_* for a safetensors file
 * that is none.
 */
export async function readDepthFile(path: string): Promise<DepthMap> {
  if (path.toLowerCase().endsWith(".safetensors")) return readDepthTensor(await openFile(path));
  const bytes = await readWhole(path);
  if (recogniseImage(bytes) === "a PNG") return depthOfPng(decodeSamples(bytes, path));
  return byteDepth(await readImage(bytes, path));
}

async function readWhole(path: string): Promise<Uint8Array> {
  if (path.includes("\0")) throw new DiffusionError("PATH", "a file's name cannot hold NUL");
  try {
    const found = await stat(path);
    // A pipe or a device may never end.
    if (!found.isFile()) throw missing(path, "is not a file");
    if (found.size <= MAX_FILE_BYTES) return await readFile(path);
    throw new DiffusionError(
      "IMAGE_SIZE",
      `${path} has ${found.size} bytes, too many for a picture`,
    );
  } catch (cause) {
    if (cause instanceof DiffusionError) throw cause;
    const { code, message } = cause as NodeJS.ErrnoException;
    throw missing(path, code === "ENOENT" ? "does not exist" : `cannot be read: ${message}`, cause);
  }
}

function missing(path: string, what: string, cause?: unknown): DiffusionError {
  return new DiffusionError("IMAGE_MISSING", `${path} ${what}`, { hint: "Check the path.", cause });
}
