/** What comes back from the GPU, refused where it is not finite: never a black picture. */
import { DiffusionError } from "../engine/errors.ts";
import type { Plan } from "../engine/index.ts";
import { type LatentShape, latentsOf } from "./denoise.ts";
import { Picture } from "./picture.ts";
import type { Sides, TileGrid, TilePlace } from "./tile-grid.ts";

/** Decodes picture `index` and reads it, by one read-back. Throws NUMERIC naming step or stage. */
export async function readPicture(
  decoder: Plan,
  index: number,
  latents: LatentShape,
  factor: number,
  how: string,
): Promise<Picture> {
  decoder.write("index", [index]);
  decoder.run();
  const [words, status] = await decoder.readAll(["rgba", "status"]);
  if (status![0]! > 0) throw badLatents(status![0]!, how);
  const { buffer, byteOffset, byteLength } = words!;
  const data = new Uint8ClampedArray(buffer as ArrayBuffer, byteOffset, byteLength);
  // to-rgba.wgsl gives a pixel that is not finite alpha 0.
  for (let i = 3; i < data.length; i += 4) {
    if (data[i] === 0) throw notFinite("the VAE decoder put out pixels that are not finite", how);
  }
  return new Picture(latents.width * factor, latents.height * factor, data);
}

/** The same in tiles (`grid` in pixels of the picture): one is decoded and read at a time, and blended here. */
export async function readTiledPicture(
  decoder: Plan,
  index: number,
  { latents, factor, grid }: { latents: LatentShape; factor: number; grid: TileGrid },
  how: string,
  signal: AbortSignal,
): Promise<Picture> {
  const [width, height] = [latents.width * factor, latents.height * factor];
  const sum = new Float32Array(height * width * 3);
  decoder.write("index", [index]);
  for (const place of grid.places) {
    decoder.write("place", [place.top / factor, place.left / factor, 0]);
    decoder.run();
    const [pixels, status] = await decoder.readAll(["picture", "status"]);
    if (status![0]! > 0) throw badLatents(status![0]!, how);
    addTile(sum, width, pixels as Float32Array, place, grid.tile);
    signal.throwIfAborted();
  }
  // NaN and infinity reach every sum that they are part of.
  if (!sum.every(Number.isFinite))
    throw notFinite("the VAE decoder put out pixels that are not finite", how);
  const data = new Uint8ClampedArray(height * width * 4).fill(255);
  for (let i = 0; i < sum.length; i++) {
    // Uint8ClampedArray rounds halves to even, as to-rgba.wgsl does.
    data[Math.floor(i / 3) * 4 + (i % 3)] = 255 * (0.5 * sum[i]! + 0.5);
  }
  return new Picture(width, height, data);
}

/** sum [H, W, 3] += the tile's pixels by their shares. */
function addTile(
  sum: Float32Array,
  width: number,
  pixels: Float32Array,
  { top, left, rows, columns }: TilePlace,
  tile: Sides,
): void {
  for (let i = 0; i < tile.height; i++) {
    for (let j = 0; j < tile.width; j++) {
      const share = rows[top + i]! * columns[left + j]!;
      const [from, to] = [3 * (i * tile.width + j), 3 * ((top + i) * width + left + j)];
      for (let c = 0; c < 3; c++) sum[to + c]! += share * pixels[from + c]!;
    }
  }
}

/** The latents after the last step, [B, C, h, w] as PyTorch lays them out. Throws NUMERIC naming the step. */
export async function readLatents(
  step: Plan,
  latents: LatentShape,
  how: string,
): Promise<{ readonly data: Float32Array; readonly shape: readonly number[] }> {
  const { batch, channels, height, width } = latents;
  const state = (await step.read("state")) as Float32Array;
  const firstBad = state.subarray(6 * batch * channels * height * width).filter((step) => step > 0);
  if (firstBad.length > 0)
    throw badLatents(
      firstBad.reduce((a, b) => Math.min(a, b)),
      how,
    );
  return { data: latentsOf(state, latents), shape: [batch, channels, height, width] };
}

function badLatents(step: number, how: string): DiffusionError {
  return notFinite(`the latents are not finite after step ${step}`, how);
}

function notFinite(what: string, how: string): DiffusionError {
  return new DiffusionError("NUMERIC", `${what} (${how}): the picture would be black`, {
    hint: how.includes("f16")
      ? "Retry with --dtype f32; if that fails too, the weights hold NaN or infinity."
      : "The weights hold NaN, infinity or numbers near it: fetch the checkpoint again.",
  });
}
