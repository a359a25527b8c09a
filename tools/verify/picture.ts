/** The whole way, from words and seed to latents and to a picture, as a user asks for it. */
import type { RgbImage } from "../../model/image/image.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { GenerateRequest, RgbaImage } from "../../model/request.ts";
import { type Case, type Dump, tensorOf } from "./dump.ts";
import { withLatents } from "./latents-spy.ts";
import { type Bench, imageOf, type Outcome, planes } from "./stages.ts";

/** Final latents, then the picture. */
export async function paintedBoth(bench: Bench, each: Case): Promise<Outcome> {
  const { device, dtype, dump, path, options } = bench;
  // What the stages before it loaded makes room.
  await bench.weights("picture");
  await using sd = await StableDiffusion.fromPretrained(path, { device, dtype, ...options });
  const wanted = tensorOf(dump, each, "latents");
  const image = tensorOf(dump, each, "image");
  const [batch, height, width, channels] = wanted.shape as [number, number, number, number];
  const shape = { batch, height, width, channels };
  const { result, latents } = await withLatents(device, shape, () =>
    sd.generate(requestOf(dump, each)),
  );
  const { images, timings } = result;
  return {
    // Words, steps and decoder; loading apart.
    runMs: (timings.encode ?? 0) + (timings.steps ?? 0) + (timings.decode ?? 0),
    gpuBytes: device.allocatedBytes,
    comparisons: [
      {
        name: `${each.name}: final latents`,
        kind: "network",
        shape: [batch, channels, height, width],
        actual: latents.at(-1)!,
        expected: planes(wanted),
      },
      {
        name: each.name,
        kind: "picture",
        shape: image.shape,
        actual: samples(images),
        expected: image.data,
      },
    ],
  };
}

function requestOf(dump: Dump, each: Case): GenerateRequest {
  const given = (key: string): RgbImage | undefined =>
    each[`given_${key}`] === undefined ? undefined : imageOf(dump, each, `given_${key}`);
  const depth = each.given_depth === undefined ? undefined : tensorOf(dump, each, "given_depth");
  return {
    ...(each.request as GenerateRequest),
    image: given("image"),
    mask: given("mask"),
    depth: depth && {
      ...{ height: depth.shape[0]!, width: depth.shape[1]! },
      data: depth.data as Float32Array,
    },
  };
}

/** RGB of all pictures, one after another. */
function samples(images: readonly RgbaImage[]): number[] {
  return images.flatMap(({ data }) => [...data].filter((_, i) => i % 4 < 3));
}
