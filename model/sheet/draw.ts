/** Pictures of one size side by side, in rows, with labels. */
import type { RgbaImage } from "../request.ts";
import { drawText, LINE_HEIGHT, textWidth } from "./font.ts";

export interface SheetLayout {
  readonly columns: number;
  /** White pixels round each picture (default 4). */
  readonly gap?: number;
  /** Above the first row. */
  readonly columnLabels?: readonly string[];
  /** Left of each row, a line each. */
  readonly rowLabels?: readonly (readonly string[])[];
  /** Above each picture. */
  readonly captions?: readonly string[];
}

export interface Place {
  readonly x: number;
  readonly y: number;
}

export interface SheetGeometry {
  readonly width: number;
  readonly height: number;
  /** The upper left corner of each picture. */
  readonly places: readonly Place[];
  /** Squares of so many pixels make up the letters. */
  readonly scale: number;
}

/** Where everything is, for `count` pictures in reading order. Columns are as wide as what stands above them. */
export function sheetGeometry(
  { width, height }: Pick<RgbaImage, "width" | "height">,
  count: number,
  { columns, gap = 4, columnLabels = [], rowLabels = [], captions = [] }: SheetLayout,
): SheetGeometry {
  const scale = Math.max(1, Math.round(width / 256));
  const widest = (texts: readonly string[]) =>
    Math.max(0, ...texts.map((text) => textWidth(text, scale)));
  const cellWidth = Math.max(width, widest([...columnLabels, ...captions]));
  const line = scale * LINE_HEIGHT;
  const left = rowLabels.length > 0 ? widest(rowLabels.flat()) + 2 * gap : gap;
  const top = columnLabels.length > 0 ? line + gap : gap;
  const cellHeight = height + (captions.length > 0 ? line : 0);
  const places = Array.from({ length: count }, (_, i) => ({
    x: left + (i % columns) * (cellWidth + gap),
    y: top + Math.floor(i / columns) * (cellHeight + gap) + cellHeight - height,
  }));
  return {
    width: left + columns * (cellWidth + gap),
    height: top + Math.ceil(count / columns) * (cellHeight + gap),
    places,
    scale,
  };
}

/** One picture of all of them, in reading order, on white. All must have the size of the first. */
export function drawSheet(images: readonly RgbaImage[], layout: SheetLayout): RgbaImage {
  const { gap = 4, columns, columnLabels = [], rowLabels = [], captions = [] } = layout;
  const { width, height, places, scale } = sheetGeometry(images[0]!, images.length, layout);
  const data = new Uint8ClampedArray(4 * width * height).fill(255);
  const sheet = { width, height, data };
  images.forEach((image, i) => {
    paste(image, sheet, places[i]!);
  });
  // A line's lower margin is its distance from the picture below.
  const above = scale * LINE_HEIGHT;
  columnLabels.forEach((text, i) => {
    drawText(sheet, text, places[i]!.x, gap, scale);
  });
  captions.forEach((text, i) => {
    drawText(sheet, text, places[i]!.x, places[i]!.y - above, scale);
  });
  rowLabels.forEach((lines, row) => {
    lines.forEach((text, i) => {
      drawText(sheet, text, gap, places[row * columns]!.y + i * above, scale);
    });
  });
  return sheet;
}

function paste(image: RgbaImage, sheet: RgbaImage, { x, y }: Place): void {
  for (let row = 0; row < image.height; row++) {
    const line = image.data.subarray(4 * row * image.width, 4 * (row + 1) * image.width);
    sheet.data.set(line, 4 * ((y + row) * sheet.width + x));
  }
}
