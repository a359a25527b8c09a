/** What transformers' DPTImageProcessor does to a picture before DPT sees it. */
import { DiffusionError } from "../../engine/errors.ts";
import {
  type ConfigFile,
  checkCount,
  configFault,
  configFile,
  countOf,
  flagOf,
  numberOf,
  rawValue,
  refuseSettings,
} from "../config/fields.ts";

/** Pillow's numbers of its filters. */
const FILTERS = { 0: "nearest", 1: "lanczos", 2: "bilinear", 3: "bicubic" } as const;
export type Filter = (typeof FILTERS)[keyof typeof FILTERS];

export interface DptProcessor {
  readonly resize: boolean;
  readonly size: readonly [height: number, width: number];
  readonly keepAspectRatio: boolean;
  readonly ensureMultipleOf: number;
  readonly filter: Filter;
  readonly rescaleFactor: number;
  /** Of red, green and blue. */
  readonly mean: readonly number[];
  readonly std: readonly number[];
}

/** Rows of red, green and blue, top to bottom. */
export interface RgbPicture {
  readonly width: number;
  readonly height: number;
  readonly data: Uint8Array | Uint8ClampedArray;
}

/** Pillow's Image.resize, on bytes. */
export type Resize<P extends RgbPicture> = (
  picture: P,
  width: number,
  height: number,
  filter: Filter,
) => RgbPicture;

/** What the network is given: [1, height, width, 3]. */
export interface DepthPixels {
  readonly height: number;
  readonly width: number;
  readonly data: Float32Array;
}

/**
 * feature_extractor/preprocessor_config.json; an absent key, or an absent file ({}), takes the class's
 * default. Throws CONFIG naming the file, the key and what was expected.
 */
export function dptProcessor(
  json: unknown = {},
  name = "feature_extractor/preprocessor_config.json",
): DptProcessor {
  const file = configFile(json, name);
  refuseSettings(file, [
    ["do_pad", false, "not implemented"],
    ["do_rescale", true, "not implemented"],
    ["do_normalize", true, "not implemented"],
  ]);
  const resample = rawValue(file, "resample", 3) as keyof typeof FILTERS;
  const filter = FILTERS[resample];
  if (!filter) throw configFault(file, "resample", resample, "0, 1, 2 or 3 (Pillow's filters)");
  return {
    resize: flagOf(file, "do_resize", true),
    size: sizeOf(file),
    keepAspectRatio: flagOf(file, "keep_aspect_ratio", false),
    ensureMultipleOf: countOf(file, "ensure_multiple_of", 1),
    filter,
    rescaleFactor: numberOf(file, "rescale_factor", 1 / 255),
    mean: colors(file, "image_mean"),
    std: colors(file, "image_std", (value) => value !== 0),
  };
}

/** {"height", "width"}, or one number for both. */
function sizeOf(file: ConfigFile): readonly [number, number] {
  const value = rawValue(file, "size", { height: 384, width: 384 });
  if (typeof value === "number") {
    const side = checkCount(file, "size", value);
    return [side, side];
  }
  const { height, width } = (value ?? {}) as Record<string, unknown>;
  return [checkCount(file, "size.height", height), checkCount(file, "size.width", width)];
}

function colors(
  file: ConfigFile,
  key: string,
  fits: (value: number) => boolean = () => true,
): readonly number[] {
  const value = rawValue(file, key, [0.5, 0.5, 0.5]);
  const list: unknown[] = Array.isArray(value) ? value : [value, value, value];
  const numbers = list.filter((n): n is number => typeof n === "number" && Number.isFinite(n));
  if (numbers.length === 3 && list.length === 3 && numbers.every(fits)) return numbers;
  throw configFault(file, key, value, "three numbers (a deviation must not be 0)");
}

/** The size to which a picture is brought (`get_resize_output_image_size`). */
export function inputSize(
  processor: DptProcessor,
  height: number,
  width: number,
): readonly [height: number, width: number] {
  if (!processor.resize) return [height, width];
  let vertical = processor.size[0] / height;
  let horizontal = processor.size[1] / width;
  if (processor.keepAspectRatio) {
    // The side that changes less decides.
    if (Math.abs(1 - horizontal) < Math.abs(1 - vertical)) vertical = horizontal;
    else horizontal = vertical;
  }
  const multiple = processor.ensureMultipleOf;
  const whole = (size: number) => roundHalfEven(size / multiple) * multiple;
  return [whole(vertical * height), whole(horizontal * width)];
}

/** Python's round(). */
function roundHalfEven(x: number): number {
  const down = Math.floor(x);
  const rest = x - down;
  if (rest !== 0.5) return Math.round(x);
  return down % 2 === 0 ? down : down + 1;
}

/**
 * The picture as DPT wants it: resized, then (v · rescaleFactor - mean) / std. `multiple` is what the network
 * asks of height and width. Throws CONFIG if the settings lead to another size.
 */
export function depthPixels<P extends RgbPicture>(
  picture: P,
  processor: DptProcessor,
  multiple: number,
  resize: Resize<P>,
): DepthPixels {
  const [height, width] = inputSize(processor, picture.height, picture.width);
  if (height < 1 || width < 1 || height % multiple !== 0 || width % multiple !== 0) {
    throw new DiffusionError(
      "CONFIG",
      `feature_extractor makes ${width}x${height} of a picture of ${picture.width}x${picture.height}; the depth estimator wants multiples of ${multiple}`,
      {
        hint: `set ensure_multiple_of to ${multiple} in feature_extractor/preprocessor_config.json`,
      },
    );
  }
  const same = height === picture.height && width === picture.width;
  const resized = same ? picture : resize(picture, width, height, processor.filter);
  return { height, width, data: normalise(resized.data, processor) };
}

/** In f32 throughout, as NumPy has it; there are only 256 values for each colour. */
function normalise(bytes: RgbPicture["data"], processor: DptProcessor): Float32Array {
  const { rescaleFactor, mean, std } = processor;
  const levels = mean.map((m, c) =>
    Float32Array.from({ length: 256 }, (_, v) => {
      const scaled = Math.fround(v * rescaleFactor);
      return Math.fround(scaled - Math.fround(m)) / Math.fround(std[c]!);
    }),
  );
  return Float32Array.from(bytes, (v, i) => levels[i % 3]![v]!);
}
