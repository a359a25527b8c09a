import type { RgbaImage } from "../../model/request.ts";

/** The part of a picture of `size`, its upper left corner at `place`. */
export function cropped(
  { width, data }: RgbaImage,
  place: { readonly x: number; readonly y: number },
  size: { readonly width: number; readonly height: number },
): RgbaImage {
  const part = new Uint8ClampedArray(4 * size.width * size.height);
  for (let row = 0; row < size.height; row++) {
    const from = 4 * ((place.y + row) * width + place.x);
    part.set(data.subarray(from, from + 4 * size.width), 4 * row * size.width);
  }
  return { width: size.width, height: size.height, data: part };
}
