/** From pictures to latents: the VAE's encoder, and a sample of what it puts out. */
import {
  cast,
  compile,
  custom,
  type DType,
  input,
  type Plan,
  type Tensor,
} from "../engine/index.ts";
import type { Weights } from "../engine/parameters.ts";
import { latentSample } from "../shaders/latent-sample.ts";
import type { Checkpoint } from "./checkpoint.ts";
import type { VaeConfig } from "./config.ts";
import type { VaeOptions } from "./decode.ts";
import type { LatentShape } from "./denoise.ts";
import type { Setting } from "./painter.ts";
import { encodeTiling, tiled } from "./tiles.ts";
import { vaeEncoder } from "./vae.ts";

/** Pictures to encode at once, and their pixels. */
export interface PictureSizes {
  readonly batch: number;
  readonly height: number;
  readonly width: number;
}

/**
 * Inputs: `picture` [B, H, W, 3] f32, red, green and blue in -1..1; `noise` [B, h, w, C] f32, normal.
 * Output: `latents` [B, h, w, C] f32, a sample of the encoder's distribution times the scaling factor; noise of
 * zeros gives its mean.
 */
export function encodeGraph(
  w: Weights,
  config: VaeConfig,
  { batch, height, width }: PictureSizes,
  dtype: DType,
  options: VaeOptions = {},
): { latents: Tensor } {
  const picture = input("picture", [batch, height, width, config.inChannels], "f32");
  const moments = encodeMoments(w, config, picture, dtype, options);
  const [, h, v] = moments.shape as [number, number, number, number];
  const noise = input("noise", [batch, h, v, config.latentChannels], "f32");
  return { latents: sampleLatents(moments, noise, config.scalingFactor) };
}

/** x [B, H, W, 3] -> moments as `vaeEncoder` gives them; f32 where tiles are blended. */
export function encodeMoments(
  w: Weights,
  config: VaeConfig,
  x: Tensor,
  dtype: DType,
  { vaeTiling }: VaeOptions = {},
): Tensor {
  const encode = (x: Tensor) => vaeEncoder(w, config, cast(x, dtype));
  if (!vaeTiling) return encode(x);
  return tiled(x, encodeTiling(config), (tile) => cast(encode(tile), "f32"));
}

/** scale · (mean + exp(½ clamp(logvar, -30, 20)) · noise). moments [B, h, w, 2C], noise [B, h, w, C] f32 -> like noise. */
export function sampleLatents(moments: Tensor, noise: Tensor, scale: number): Tensor {
  const [batch, height, width, channels] = noise.shape as [number, number, number, number];
  const params = { pixels: batch * height * width, channels, scale };
  return custom(latentSample, params, { moments, noise }, noise.shape, "f32");
}

/**
 * Compiles the encoder for pictures of given sizes: write `picture` and `noise` (as in `encodeGraph`), run, and
 * read `latents` or bind its buffer. Throws WEIGHTS_MISMATCH if the checkpoint has no encoder.
 */
export function compileEncoder(
  { device, weights, dtype, signal }: Setting,
  { vae }: Pick<Checkpoint, "vae">,
  sizes: PictureSizes,
  options: VaeOptions = {},
): Promise<Plan> {
  const graph = encodeGraph(vae.weights, vae.config, sizes, dtype, options);
  return compile(device, { ...graph }, { label: "encode", weights, signal });
}

/** Writes the inputs of an encoder's plan and runs it. noise [B, C, h, w] as PyTorch draws it. */
export function encode(
  encoder: Plan,
  picture: ArrayLike<number>,
  noise: ArrayLike<number>,
  latents: LatentShape,
): void {
  encoder.write("picture", picture);
  encoder.write("noise", channelsLast(noise, latents));
  encoder.run();
}

/** [B, C, h, w] to [B, h, w, C]. */
export function channelsLast(
  values: ArrayLike<number>,
  { batch, height, width, channels }: LatentShape,
): Float32Array {
  const area = height * width;
  const out = new Float32Array(batch * area * channels);
  for (let i = 0; i < batch * area; i++) {
    const [b, pixel] = [Math.floor(i / area), i % area];
    for (let c = 0; c < channels; c++) {
      out[i * channels + c] = values[(b * channels + c) * area + pixel]!;
    }
  }
  return out;
}
