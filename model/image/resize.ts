/**
 * Resizing as Pillow 13 does it, bit for bit (`Image.resize`; src/libImaging/Resample.c and
 * Geometry.c): a filter that widens when the picture shrinks, so that it never aliases, in two
 * passes of fixed-point sums, along rows and along columns, with the first pass rounded to bytes.
 */
import { DiffusionError } from "../../engine/errors.ts";
import { channelsOf, type RgbImage } from "./image.ts";

export type Filter = "nearest" | "bilinear" | "bicubic" | "lanczos";

/** Throws IMAGE_SIZE for a size below 1. RGBA is weighted by its alpha, as Pillow does. */
export function resize(image: RgbImage, width: number, height: number, filter: Filter): RgbImage {
  const channels = channelsOf(image);
  if (!(Number.isSafeInteger(width) && Number.isSafeInteger(height) && width > 0 && height > 0))
    throw new DiffusionError("IMAGE_SIZE", `an image cannot be resized to ${width}x${height}`);
  if (width === image.width && height === image.height) return image;
  if (filter === "nearest") return nearest(image, width, height, channels);
  if (channels === 4) return unweighted(resample(weighted(image), width, height, 4, filter));
  return resample(image, width, height, channels, filter);
}

function nearest(image: RgbImage, width: number, height: number, channels: number): RgbImage {
  const columns = nearestPositions(image.width, width);
  const rows = nearestPositions(image.height, height);
  const data = new Uint8Array(width * height * channels);
  let to = 0;
  for (const row of rows)
    for (const column of columns)
      for (let c = 0; c < channels; c++)
        data[to++] = image.data[(row * image.width + column) * channels + c]!;
  return { width, height, data };
}

/** The pixel under each new pixel's centre. Pillow adds the step up, with the rounding of doubles. */
function nearestPositions(from: number, to: number): number[] {
  const step = from / to;
  let at = step * 0.5;
  return Array.from({ length: to }, () => {
    const position = Math.trunc(at);
    at += step;
    return Math.min(position, from - 1);
  });
}

interface Kernel {
  readonly support: number;
  readonly weight: (x: number) => number;
}

const KERNELS: Readonly<Record<Exclude<Filter, "nearest">, Kernel>> = {
  bilinear: { support: 1, weight: (x) => Math.max(0, 1 - Math.abs(x)) },
  /** Keys 1981 with a = -1/2. */
  bicubic: {
    support: 2,
    weight(signed) {
      const a = -0.5;
      const x = Math.abs(signed);
      if (x < 1) return ((a + 2) * x - (a + 3)) * x * x + 1;
      return x < 2 ? (((x - 5) * x + 8) * x - 4) * a : 0;
    },
  },
  lanczos: { support: 3, weight: (x) => (x >= -3 && x < 3 ? sinc(x) * sinc(x / 3) : 0) },
};

function sinc(x: number): number {
  return x === 0 ? 1 : Math.sin(x * Math.PI) / (x * Math.PI);
}

/** Fraction bits of a weight: 8 bits of sample and 2 of headroom are left of 32. */
const PRECISION = 32 - 8 - 2;

interface Taps {
  /** For each new position the first old one, and how many of them count. */
  readonly start: Int32Array;
  readonly count: Int32Array;
  /** `stride` weights for each new position, in fixed point. */
  readonly weights: Int32Array;
  readonly stride: number;
}

function tapsOf(from: number, to: number, { support, weight }: Kernel): Taps {
  const scale = from / to;
  const widening = Math.max(1, scale);
  const reach = support * widening;
  const stride = Math.ceil(reach) * 2 + 1;
  const taps = {
    ...{ start: new Int32Array(to), count: new Int32Array(to), stride },
    weights: new Int32Array(to * stride),
  };
  for (let i = 0; i < to; i++) {
    const centre = (i + 0.5) * scale;
    const first = Math.max(0, Math.trunc(centre - reach + 0.5));
    const count = Math.min(from, Math.trunc(centre + reach + 0.5)) - first;
    const values = Array.from({ length: count }, (_, j) =>
      weight((j + first - centre + 0.5) * (1 / widening)),
    );
    const sum = values.reduce((total, value) => total + value, 0);
    taps.start[i] = first;
    taps.count[i] = count;
    taps.weights.set(
      values.map((value) => fixedPoint(sum === 0 ? value : value / sum)),
      i * stride,
    );
  }
  return taps;
}

function fixedPoint(weight: number): number {
  const scaled = weight * (1 << PRECISION);
  return Math.trunc(weight < 0 ? scaled - 0.5 : scaled + 0.5);
}

function resample(
  image: RgbImage,
  width: number,
  height: number,
  channels: number,
  filter: Exclude<Filter, "nearest">,
): RgbImage {
  const across = (each: RgbImage) =>
    width === each.width ? each : horizontal(each, width, channels, filter);
  const down = (each: RgbImage) =>
    height === each.height ? each : vertical(each, height, channels, filter);
  return shrinksMostlyInHeight(image, width, height) ? across(down(image)) : down(across(image));
}

/** Which pass is first shows in the rounding. Pillow before 13 always began with the rows. */
function shrinksMostlyInHeight(from: RgbImage, width: number, height: number): boolean {
  return height < from.height && from.height - height > 2 * (from.width - width);
}

function horizontal(
  { width: from, height, data }: RgbImage,
  width: number,
  channels: number,
  filter: Exclude<Filter, "nearest">,
): RgbImage {
  const taps = tapsOf(from, width, KERNELS[filter]);
  const made = new Uint8Array(width * height * channels);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < width; x++)
      for (let c = 0; c < channels; c++) {
        const first = (y * from + taps.start[x]!) * channels + c;
        made[(y * width + x) * channels + c] = weightedSum(data, first, channels, taps, x);
      }
  return { width, height, data: made };
}

function vertical(
  { width, height: from, data }: RgbImage,
  height: number,
  channels: number,
  filter: Exclude<Filter, "nearest">,
): RgbImage {
  const taps = tapsOf(from, height, KERNELS[filter]);
  const row = width * channels;
  const made = new Uint8Array(row * height);
  for (let y = 0; y < height; y++)
    for (let x = 0; x < row; x++)
      made[y * row + x] = weightedSum(data, taps.start[y]! * row + x, row, taps, y);
  return { width, height, data: made };
}

function weightedSum(
  data: RgbImage["data"],
  first: number,
  step: number,
  { count, weights, stride }: Taps,
  position: number,
): number {
  let sum = 1 << (PRECISION - 1);
  const end = position * stride + count[position]!;
  for (let at = first, w = position * stride; w < end; at += step, w++)
    sum += data[at]! * weights[w]!;
  return Math.min(255, Math.max(0, sum >> PRECISION));
}

/** Colours times alpha, so that what cannot be seen does not bleed into what can. */
function weighted({ width, height, data }: RgbImage): RgbImage {
  const made = Uint8Array.from(data);
  for (let i = 0; i < made.length; i++)
    if (i % 4 !== 3) {
      const product = data[i]! * data[i | 3]! + 128;
      made[i] = ((product >> 8) + product) >> 8;
    }
  return { width, height, data: made };
}

function unweighted({ width, height, data }: RgbImage): RgbImage {
  const made = Uint8Array.from(data);
  for (let i = 0; i < made.length; i++) {
    const alpha = data[i | 3]!;
    if (i % 4 !== 3 && alpha !== 0) made[i] = Math.min(255, Math.trunc((255 * data[i]!) / alpha));
  }
  return { width, height, data: made };
}
