/** Results that are not decoded as they are: an image given back, and one with a watermark. */
import { type RgbImage, toRgb } from "../image/image.ts";
import { resize } from "../image/resize.ts";
import { Picture } from "../picture.ts";
import { WATERMARK_MIN_PIXELS, watermark } from "../watermark.ts";

/** The image as a result, in the size asked for. */
export function pictureOf(image: RgbImage, width: number, height: number): Picture {
  const { data } = resize(toRgb(image), width, height, "lanczos");
  const rgba = new Uint8ClampedArray(4 * width * height).fill(255);
  for (let i = 0; i < width * height; i++) rgba.set(data.subarray(3 * i, 3 * i + 3), 4 * i);
  return new Picture(width, height, rgba);
}

/** With the original scripts' watermark; smaller pictures than they marked stay as they are. */
export function marked(picture: Picture): Picture {
  const { width, height, data } = picture;
  if (width * height < WATERMARK_MIN_PIXELS) return picture;
  return new Picture(width, height, watermark(data, width, height));
}
