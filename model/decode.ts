/** From the final state to bytes: one picture's latents, the VAE, RGBA. */
import {
  cast,
  custom,
  type DType,
  embedding,
  input,
  mul,
  reshape,
  type Tensor,
} from "../engine/index.ts";
import type { Weights } from "../engine/parameters.ts";
import { STATE_PLANES } from "../shaders/sampler-step.ts";
import { status } from "../shaders/status.ts";
import { tileCut } from "../shaders/tile-cut.ts";
import { toRgba } from "../shaders/to-rgba.ts";
import type { VaeConfig } from "./config.ts";
import type { LatentShape } from "./denoise.ts";
import type { Sides } from "./tile-grid.ts";
import { decodeTiling, tiled } from "./tiles.ts";
import { vaeDecoder } from "./vae.ts";

export interface VaeOptions {
  /** Tiles where the picture is larger than one (see tiles.ts), as diffusers' `enable_vae_tiling`. Default false. */
  readonly vaeTiling?: boolean | undefined;
}

/**
 * Inputs: `state` as in denoise.ts, `index` [1] i32: which picture. Outputs: `rgba`, a word a pixel, and
 * `status`, 0 or 1 + the first step that left a latent that is not finite.
 */
export function decodeGraph(
  w: Weights,
  config: VaeConfig,
  latents: LatentShape,
  dtype: DType,
  options: VaeOptions = {},
): { rgba: Tensor; status: Tensor } {
  const { own, ...chosen } = chosenLatents(latents);
  const picture = decodePicture(w, config, mul(own, 1 / config.scalingFactor), dtype, options);
  const pixels = picture.shape[1]! * picture.shape[2]!;
  return {
    rgba: custom(toRgba, { pixels }, { x: picture }, [pixels], "i32"),
    status: statusOf(chosen, latents),
  };
}

/**
 * The same for a tile of a picture: `place` [3] i32 says where it lies in the latents (top, left, any number).
 * Outputs: `picture` [1, H, W, 3] f32 in about -1..1, which the host blends (read-back.ts), and `status`.
 */
export function decodeTileGraph(
  w: Weights,
  config: VaeConfig,
  latents: LatentShape,
  tile: Sides,
  dtype: DType,
  options: VaeOptions = {},
): { picture: Tensor; status: Tensor } {
  const { own, ...chosen } = chosenLatents(latents);
  const { height, width, channels } = latents;
  const params = { batch: 1, height, width, tile, channels };
  const shape = [1, tile.height, tile.width, channels];
  const z = custom(tileCut, params, { x: own, place: input("place", [3], "i32") }, shape, "f32");
  const picture = decodePicture(w, config, mul(z, 1 / config.scalingFactor), dtype, options);
  return { picture: cast(picture, "f32"), status: statusOf(chosen, latents) };
}

/** The latents [1, h, w, C] of picture `index`, and what they are taken from. */
function chosenLatents({ batch, height, width, channels }: LatentShape) {
  const state = input("state", [STATE_PLANES, batch, height, width, channels], "f32");
  const index = input("index", [1], "i32");
  // Rows of the state are pictures, plane by plane: the first `batch` rows are the latents.
  const rows = reshape(state, [STATE_PLANES * batch, height * width * channels]);
  return { own: reshape(embedding(index, rows), [1, height, width, channels]), state, index };
}

function statusOf(
  chosen: { readonly state: Tensor; readonly index: Tensor },
  { batch, height, width }: LatentShape,
): Tensor {
  const perPicture = height * width;
  return custom(status, { pixels: batch * perPicture, perPicture }, { ...chosen }, [1], "i32");
}

/** z [B, h, w, C], divided by the scaling factor -> [B, 8h, 8w, 3] in about -1..1; f32 where tiles are blended. */
export function decodePicture(
  w: Weights,
  config: VaeConfig,
  z: Tensor,
  dtype: DType,
  { vaeTiling }: VaeOptions = {},
): Tensor {
  const decode = (z: Tensor) => vaeDecoder(w, config, cast(z, dtype));
  if (!vaeTiling) return decode(z);
  return tiled(z, decodeTiling(config), (tile) => cast(decode(tile), "f32"));
}
