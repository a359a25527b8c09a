/**
 * PNG to bytes with nothing but the web platform, for browsers: the same bytes as in Node. A canvas would
 * multiply by alpha, apply colour profiles and cut 16 bits to 8; pngjs needs Node's streams and zlib.
 */
import type { RgbImage } from "./image.ts";
import { imageError, type PngChunk, type PngHeader, readChunks, readHeader } from "./png-chunks.ts";
import {
  ADAM7,
  checkPixels,
  clearTest,
  imageOf,
  type PngSamples,
  rawBytes,
  SAMPLES,
} from "./png-samples.ts";

/** RGB, or RGBA where the file has alpha or names a transparent colour. Throws IMAGE_*. */
export async function decodePng(bytes: Uint8Array, name = "the file"): Promise<RgbImage> {
  return imageOf(await decodeSamples(bytes, name));
}

/** The samples as they are in the file. Throws IMAGE_* before anything large is allocated. */
export async function decodeSamples(bytes: Uint8Array, name: string): Promise<PngSamples> {
  const chunks = readChunks(bytes, name);
  const header = readHeader(chunks, name);
  checkPixels(header, name);
  const find = (wanted: string) => chunks.find(({ type }) => type === wanted)?.data;
  const [palette, transparency] = [find("PLTE"), find("tRNS")];
  if (header.colorType === 3 && !palette)
    throw imageError("IMAGE_CORRUPT", `${name} has a palette's color type, and no palette`);
  const lines = await unfold(chunks, header, name);
  const data = spread(lines, header, name, palette, transparency);
  return { header, data, clear: transparency && clearTest(header, transparency) };
}

/** The scan lines, known to be exactly those of the picture's size: no more, whatever the file promises. */
async function unfold(
  chunks: readonly PngChunk[],
  header: PngHeader,
  name: string,
): Promise<Uint8Array> {
  const parts = chunks.filter(({ type }) => type === "IDAT").map(({ data }) => data);
  const lines = new Uint8Array(rawBytes(header));
  let size = 0;
  try {
    for await (const piece of inflated(parts)) {
      if (size + piece.length > lines.length)
        throw imageError(
          "IMAGE_CORRUPT",
          `${name}: its pixels unfold to more than the ${lines.length} bytes of its size`,
        );
      lines.set(piece, size);
      size += piece.length;
    }
  } catch (cause) {
    if (!(cause instanceof TypeError)) throw cause;
    // The stream does not say whether data are wrong or missing.
    throw imageError("IMAGE_CORRUPT", `${name}: its pixels cannot be unfolded`, cause);
  }
  if (size === lines.length) return lines;
  throw imageError(
    "IMAGE_TRUNCATED",
    `${name} holds ${size} bytes of pixels; ${header.width}x${header.height} need ${lines.length}`,
  );
}

/** Piece by piece what zlib data unfold to. */
export async function* inflated(parts: readonly Uint8Array[]): AsyncGenerator<Uint8Array> {
  const stream = new Blob(parts as Uint8Array<ArrayBuffer>[]).stream();
  const reader = stream.pipeThrough(new DecompressionStream("deflate")).getReader();
  try {
    for (;;) {
      const { done, value } = await reader.read();
      if (done) return;
      yield value;
    }
  } finally {
    await reader.cancel().catch(() => {});
  }
}

/** RGBA at the file's own depth; palettes are looked up. */
function spread(
  lines: Uint8Array,
  header: PngHeader,
  name: string,
  palette: Uint8Array | undefined,
  transparency: Uint8Array | undefined,
): PngSamples["data"] {
  const { width, height, depth, colorType, interlaced } = header;
  const size = 4 * width * height;
  const data = depth === 16 ? new Uint16Array(size) : new Uint8Array(size);
  const toPixel = pixelWriter(data, { depth, colorType }, palette, transparency);
  let at = 0;
  for (const [x0, y0, dx, dy] of interlaced ? ADAM7 : [[0, 0, 1, 1] as const]) {
    const columns = Math.ceil((width - x0) / dx);
    const rows = Math.ceil((height - y0) / dy);
    if (columns <= 0 || rows <= 0) continue;
    const stride = Math.ceil((columns * depth * SAMPLES[colorType]) / 8);
    let above: Uint8Array = new Uint8Array(stride);
    for (let row = 0; row < rows; row++) {
      const line = lines.subarray(at + 1, at + 1 + stride);
      unfilter(lines[at]!, line, above, Math.max(1, (depth * SAMPLES[colorType]) / 8), name);
      for (let column = 0; column < columns; column++) {
        toPixel(line, column, 4 * ((y0 + row * dy) * width + x0 + column * dx));
      }
      above = line;
      at += 1 + stride;
    }
  }
  return data;
}

/** PNG specification, 9.2: adds to each byte what its filter foretold from those to the left and above. */
function unfilter(
  filter: number,
  line: Uint8Array,
  above: Uint8Array,
  pixel: number,
  name: string,
): void {
  const foretell = FILTERS[filter];
  if (!foretell) throw imageError("IMAGE_CORRUPT", `${name}: there is no filter ${filter}`);
  if (filter === 0) return;
  for (let i = 0; i < line.length; i++) {
    const left = i < pixel ? 0 : line[i - pixel]!;
    const corner = i < pixel ? 0 : above[i - pixel]!;
    line[i]! += foretell(left, above[i]!, corner);
  }
}

const FILTERS: readonly ((left: number, up: number, corner: number) => number)[] = [
  () => 0,
  (left) => left,
  (_, up) => up,
  (left, up) => (left + up) >> 1,
  paeth,
];

function paeth(left: number, up: number, corner: number): number {
  const estimate = left + up - corner;
  const [a, b, c] = [
    Math.abs(estimate - left),
    Math.abs(estimate - up),
    Math.abs(estimate - corner),
  ];
  if (a <= b && a <= c) return left;
  return b <= c ? up : corner;
}

type PixelWriter = (line: Uint8Array, column: number, to: number) => void;

function pixelWriter(
  data: PngSamples["data"],
  { depth, colorType }: Pick<PngHeader, "depth" | "colorType">,
  palette: Uint8Array | undefined,
  transparency: Uint8Array | undefined,
): PixelWriter {
  const samples = SAMPLES[colorType];
  const most = 2 ** depth - 1;
  const sample = sampleReader(depth);
  if (colorType === 3)
    return (line, column, to) => {
      const entry = sample(line, column);
      for (let c = 0; c < 3; c++) data[to + c] = palette?.[3 * entry + c] ?? 0;
      data[to + 3] = transparency?.[entry] ?? 255;
    };
  const grey = samples < 3;
  const hasAlpha = samples % 2 === 0;
  return (line, column, to) => {
    const first = column * samples;
    for (let c = 0; c < 3; c++) data[to + c] = sample(line, first + (grey ? 0 : c));
    data[to + 3] = hasAlpha ? sample(line, first + samples - 1) : most;
  };
}

/** Samples below a byte are packed from the highest bits on. */
function sampleReader(depth: number): (line: Uint8Array, index: number) => number {
  if (depth === 8) return (line, index) => line[index]!;
  if (depth === 16) return (line, index) => (line[2 * index]! << 8) | line[2 * index + 1]!;
  const perByte = 8 / depth;
  return (line, index) => {
    const shift = depth * (perByte - 1 - (index % perByte));
    return (line[Math.floor(index / perByte)]! >> shift) & (2 ** depth - 1);
  };
}
