/** Pictures of one size side by side, in rows. */
import type { RgbaImage } from "../model/request.ts";

export interface SheetLayout {
  readonly columns: number;
  /** White pixels round each picture (default 4). */
  readonly gap?: number;
}

/** One picture of all of them, in reading order. All must have the size of the first. */
export function contactSheet(
  images: readonly RgbaImage[],
  { columns, gap = 4 }: SheetLayout,
): RgbaImage {
  const { width, height } = images[0]!;
  const rows = Math.ceil(images.length / columns);
  const sheetWidth = columns * (width + gap) + gap;
  const sheetHeight = rows * (height + gap) + gap;
  const data = new Uint8ClampedArray(4 * sheetWidth * sheetHeight).fill(255);
  images.forEach((image, i) => {
    const left = gap + (i % columns) * (width + gap);
    const top = gap + Math.floor(i / columns) * (height + gap);
    for (let y = 0; y < height; y++) {
      const line = image.data.subarray(4 * y * width, 4 * (y + 1) * width);
      data.set(line, 4 * ((top + y) * sheetWidth + left));
    }
  });
  return { width: sheetWidth, height: sheetHeight, data };
}
