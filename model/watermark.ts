/**
 * The invisible watermark of the original Stable Diffusion 2 scripts: `WatermarkEncoder` of
 * invisible-watermark with the method "dwtDct" and the message "SDV2", byte for byte. (No cosine
 * transform is in it, despite the name.) Colours turn to YUV; the averages of U in 2x2 pixels (haar)
 * are cut in blocks of 4x4, and the largest value of each is moved to a quarter or to three
 * quarters of a step of 36: one bit of the message, over and over.
 *
 * The order of the float64 operations is PyWavelets', the fixed point OpenCV's: ties between values
 * and truncations depend on their last bit.
 */
import { DiffusionError } from "../engine/errors.ts";

const MESSAGE = "SDV2";
const STEP = 36;

/** The original marks no picture with fewer. */
export const WATERMARK_MIN_PIXELS = 256 * 256;

/**
 * The picture with the watermark in it; alpha stays. rgba [height, width, 4].
 * Throws IMAGE_SIZE below `WATERMARK_MIN_PIXELS` pixels.
 */
export function watermark(
  rgba: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
): Uint8ClampedArray {
  checkSize(rgba, width, height);
  const yuv = toYuv(rgba);
  const bands = transform(yuv.u, width, height);
  forEachBlock(bands, (n, strongest) => {
    const value = bands.average[strongest]!;
    const steps = floorDivide(Math.abs(value), STEP) + 0.25 + 0.5 * messageBit(n);
    bands.average[strongest] = value >= 0 ? steps * STEP : -steps * STEP;
  });
  invert(bands, yuv.u, width);
  return toRgba(yuv, rgba);
}

export interface ReadWatermark {
  /** Four characters: SDV2 where the mark is whole. The original's own decoder errs as often. */
  readonly text: string;
  /** The share of the blocks that say SDV2's bit: about 0.5 without a mark, 1 at best. */
  readonly confidence: number;
}

/** What the original's decoder reads. rgba [height, width, 4]. Throws IMAGE_SIZE as `watermark`. */
export function readWatermark(
  rgba: Uint8Array | Uint8ClampedArray,
  width: number,
  height: number,
): ReadWatermark {
  checkSize(rgba, width, height);
  const bands = transform(toYuv(rgba).u, width, height);
  const length = MESSAGE.length * 8;
  const ones = new Uint32Array(length);
  const votes = new Uint32Array(length);
  let right = 0;
  forEachBlock(bands, (n, strongest) => {
    const bit = +(Math.abs(bands.average[strongest]!) % STEP > 0.5 * STEP);
    ones[n % length]! += bit;
    votes[n % length]!++;
    right += +(bit === messageBit(n));
  });
  const bits = Array.from(ones, (count, i) => +((count / votes[i]!) * 255 > 127));
  const codes = Array.from({ length: MESSAGE.length }, (_, i) =>
    Number.parseInt(bits.slice(8 * i, 8 * i + 8).join(""), 2),
  );
  const total = votes.reduce((sum, count) => sum + count, 0);
  return { text: String.fromCharCode(...codes), confidence: right / total };
}

function checkSize({ length }: ArrayLike<number>, width: number, height: number): void {
  if (length !== width * height * 4)
    throw new DiffusionError(
      "IMAGE_SIZE",
      `${width}x${height} is not a picture of ${length} bytes`,
    );
  if (width * height < WATERMARK_MIN_PIXELS)
    throw new DiffusionError(
      "IMAGE_SIZE",
      `${width}x${height} is too small for the watermark: it needs ${WATERMARK_MIN_PIXELS} pixels, such as 256x256`,
    );
}

/** Bit `n` of the message without end, high bits first. */
function messageBit(n: number): number {
  const bit = n % (MESSAGE.length * 8);
  return (MESSAGE.charCodeAt(bit >> 3) >> (7 - (bit & 7))) & 1;
}

/** NumPy's floor division: near a multiple it may differ from the floor of the quotient. */
function floorDivide(a: number, b: number): number {
  const quotient = (a - (a % b)) / b;
  const floor = Math.floor(quotient);
  return quotient - floor > 0.5 ? floor + 1 : floor;
}

interface Yuv {
  readonly y: Uint8ClampedArray;
  readonly u: Uint8ClampedArray;
  readonly v: Uint8ClampedArray;
}

/** OpenCV's BGR2YUV and back, with 14 fraction bits. */
function toYuv(rgba: ArrayLike<number>): Yuv {
  const count = rgba.length / 4;
  const [y, u, v] = [0, 0, 0].map(() => new Uint8ClampedArray(count)) as [
    ...[Uint8ClampedArray, Uint8ClampedArray, Uint8ClampedArray],
  ];
  for (let i = 0; i < count; i++) {
    const [red, green, blue] = [rgba[4 * i]!, rgba[4 * i + 1]!, rgba[4 * i + 2]!];
    const luma = descale(4899 * red + 9617 * green + 1868 * blue);
    y[i] = luma;
    u[i] = descale((blue - luma) * 8061 + (128 << 14));
    v[i] = descale((red - luma) * 14369 + (128 << 14));
  }
  return { y, u, v };
}

function toRgba({ y, u, v }: Yuv, alphas: ArrayLike<number>): Uint8ClampedArray {
  const rgba = new Uint8ClampedArray(y.length * 4);
  for (let i = 0; i < y.length; i++) {
    const [luma, du, dv] = [y[i]!, u[i]! - 128, v[i]! - 128];
    rgba[4 * i] = luma + descale(18678 * dv);
    rgba[4 * i + 1] = luma + descale(-6472 * du - 9519 * dv);
    rgba[4 * i + 2] = luma + descale(33292 * du);
    rgba[4 * i + 3] = alphas[4 * i + 3]!;
  }
  return rgba;
}

function descale(x: number): number {
  return (x + (1 << 13)) >> 14;
}

/** One level of the haar wavelet of the part of a plane whose sides are multiples of 4. */
interface Bands {
  readonly rows: number;
  readonly columns: number;
  readonly average: Float64Array;
  /** Differences of the two rows, of the two columns, and of both. */
  readonly rowDetail: Float64Array;
  readonly columnDetail: Float64Array;
  readonly diagonal: Float64Array;
}

const HALF = Math.SQRT1_2;

function transform(plane: ArrayLike<number>, width: number, height: number): Bands {
  const rows = Math.trunc(height / 4) * 2;
  const columns = Math.trunc(width / 4) * 2;
  const band = () => new Float64Array(rows * columns);
  const bands = { rows, columns, average: band(), rowDetail: band() };
  const [columnDetail, diagonal] = [band(), band()];
  for (let i = 0; i < rows * columns; i++) {
    const at = 2 * Math.trunc(i / columns) * width + 2 * (i % columns);
    const [a, b] = [plane[at]!, plane[at + 1]!];
    const [c, d] = [plane[at + width]!, plane[at + width + 1]!];
    const low0 = HALF * c + HALF * a;
    const low1 = HALF * d + HALF * b;
    const high0 = -HALF * c + HALF * a;
    const high1 = -HALF * d + HALF * b;
    bands.average[i] = HALF * low1 + HALF * low0;
    columnDetail[i] = -HALF * low1 + HALF * low0;
    bands.rowDetail[i] = HALF * high1 + HALF * high0;
    diagonal[i] = -HALF * high1 + HALF * high0;
  }
  return { ...bands, columnDetail, diagonal };
}

/**
 * Back into `plane`, whose edge beyond a multiple of 4 stays. The library hands the details of rows
 * and columns back in each other's place, and cuts the result off to a byte: so do we.
 */
function invert(bands: Bands, plane: Uint8ClampedArray, width: number): void {
  const { rows, columns, average, rowDetail, columnDetail, diagonal } = bands;
  const put = (at: number, value: number) => {
    plane[at] = Math.trunc(value) & 255;
  };
  for (let i = 0; i < rows * columns; i++) {
    const at = 2 * Math.trunc(i / columns) * width + 2 * (i % columns);
    const low0 = HALF * average[i]! + HALF * rowDetail[i]!;
    const low1 = HALF * average[i]! + -HALF * rowDetail[i]!;
    const high0 = HALF * columnDetail[i]! + HALF * diagonal[i]!;
    const high1 = HALF * columnDetail[i]! + -HALF * diagonal[i]!;
    put(at, HALF * low0 + HALF * high0);
    put(at + 1, HALF * low1 + HALF * high1);
    put(at + width, HALF * low0 + -HALF * high0);
    put(at + width + 1, HALF * low1 + -HALF * high1);
  }
}

/** Calls back with the number of each 4x4 block and the index of its largest |value|, never its first. */
function forEachBlock(
  { rows, columns, average }: Bands,
  visit: (block: number, strongest: number) => void,
): void {
  let block = 0;
  for (let row = 0; row + 4 <= rows; row += 4)
    for (let column = 0; column + 4 <= columns; column += 4)
      visit(block++, strongestOf(average, row * columns + column, columns));
}

function strongestOf(average: Float64Array, corner: number, columns: number): number {
  let found = corner + 1;
  for (let i = 2; i < 16; i++) {
    const at = corner + (i >> 2) * columns + (i & 3);
    if (Math.abs(average[at]!) > Math.abs(average[found]!)) found = at;
  }
  return found;
}
