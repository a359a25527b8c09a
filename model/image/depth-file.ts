/** Depth maps from files: a picture's grey, or a tensor. */
import { decodeHalf } from "../../engine/dtype.ts";
import { DiffusionError } from "../../engine/errors.ts";
import { type ByteSource, readSafetensors, type StoredTensor } from "../../engine/safetensors.ts";
import type { DepthMap } from "./depth.ts";
import { type RgbImage, toGrey } from "./image.ts";
import { imageOf, type PngSamples } from "./png-samples.ts";

/** As large as the largest picture file that is read. */
const MAX_TENSOR_BYTES = 256 * 2 ** 20;

/** A PNG's grey at the file's own depth, as 0..1. */
export function depthOfPng(samples: PngSamples): DepthMap {
  const { header, data } = samples;
  if ((header.colorType & 2) !== 0) return byteDepth(imageOf(samples));
  const { width, height, depth } = header;
  const most = 2 ** depth - 1;
  // Four samples a pixel, of which the first is the grey.
  const values = Float32Array.from({ length: width * height }, (_, i) => data[4 * i]! / most);
  return { width, height, data: values };
}

export function byteDepth(image: RgbImage): DepthMap {
  const { width, height, data } = toGrey(image);
  return { width, height, data: Float32Array.from(data, (byte) => byte / 255) };
}

/** The tensor `depth` of a safetensors file, [H, W] or [1, H, W]; closes it. Throws IMAGE_FORMAT, WEIGHTS_*. */
export async function readDepthTensor(source: ByteSource): Promise<DepthMap> {
  const path = source.name;
  try {
    const { tensors } = await readSafetensors(source);
    const tensor = tensors.get("depth");
    if (!tensor)
      throw new DiffusionError("IMAGE_FORMAT", `${path} has no tensor named "depth"`, {
        hint: `It has: ${[...tensors.keys()].slice(0, 5).join(", ") || "none"}.`,
      });
    const [height, width] = depthSize(tensor, path);
    const bytes = await tensor.read(0, tensor.byteLength);
    return { width, height, data: FLOATS[tensor.dtype as "F16" | "F32"](bytes.slice()) };
  } finally {
    await source.close();
  }
}

function depthSize({ shape, dtype, byteLength }: StoredTensor, path: string): [number, number] {
  const [height, width, ...rest] = shape.length === 3 && shape[0] === 1 ? shape.slice(1) : shape;
  const known = Object.hasOwn(FLOATS, dtype) && byteLength <= MAX_TENSOR_BYTES;
  if (known && height && width && rest.length === 0) return [height, width];
  throw new DiffusionError(
    "IMAGE_FORMAT",
    `${path}: "depth" is ${dtype} [${shape.join(", ")}]; wanted F32 or F16 [height, width] or [1, height, width]`,
  );
}

const FLOATS = {
  F32: (bytes: Uint8Array) => new Float32Array(bytes.buffer),
  F16: (bytes: Uint8Array) => decodeHalf(new Uint16Array(bytes.buffer)),
} as const;
