/** Plans from pictures, or from a depth map that is given, to depth at latent size. */
import { DiffusionError } from "../../engine/errors.ts";
import type { Outputs } from "../../engine/graph.ts";
import { cast, compile, input, interpolate, type Plan, type Tensor } from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import type { Part } from "../checkpoint.ts";
import type { Setting } from "../painter.ts";
import { type DptConfig, inputMultiple } from "./config.ts";
import { dpt } from "./dpt.ts";
import { type DepthLatents, depthLatents } from "./latents.ts";
import type { DepthPixels } from "./processor.ts";

export interface DepthSizes {
  /** Pictures at once. Default 1. */
  readonly batch?: number;
  /** [height, width] of what goes in: the network's picture, or the map that is given. */
  readonly from: readonly [number, number];
  /** [height, width] of the latents. */
  readonly latents: readonly [number, number];
}

/** Pictures `pixels` [batch, height, width, 3] -> their depth as `map` [batch, h, w, 1] in f32. Throws SHAPE. */
export function depthGraph(
  { config, weights }: Part<DptConfig>,
  sizes: DepthSizes,
  dtype: Setting["dtype"],
): { map: Tensor } {
  const { batch = 1, from } = sizes;
  const multiple = inputMultiple(config);
  if (from.some((side) => !(side >= multiple) || side % multiple !== 0)) {
    throw new DiffusionError(
      "SHAPE",
      `the depth estimator wants heights and widths that are multiples of ${multiple}, got ${from.join("x")}`,
    );
  }
  const pixels = input("pixels", [batch, ...from, config.backbone.numChannels], "f32");
  const depth = dpt(weights, config, cast(pixels, dtype));
  return { map: toLatentSize(cast(depth, "f32"), sizes) };
}

/** A depth map `depth` [batch, height, width, 1] of any scale -> `map` [batch, h, w, 1]. */
export function resizeGraph(sizes: DepthSizes): { map: Tensor } {
  const { batch = 1, from } = sizes;
  return { map: toLatentSize(input("depth", [batch, ...from, 1], "f32"), sizes) };
}

/** torch's bicubic without antialias, as diffusers. */
function toLatentSize(depth: Tensor, { latents }: DepthSizes): Tensor {
  return interpolate(depth, { size: latents, mode: "bicubic" });
}

/** The plan of `depthGraph`, for `estimateDepth`. Throws SHAPE, LIMIT, GPU_OOM, WEIGHTS_…. */
export function compileDepth(
  setting: Setting,
  part: Part<DptConfig>,
  sizes: DepthSizes,
): Promise<Plan> {
  return compileAs("depth", setting, depthGraph(part, sizes, setting.dtype));
}

/** The plan of `resizeGraph`, for `givenDepth`. */
export function compileDepthResize(setting: Setting, sizes: DepthSizes): Promise<Plan> {
  return compileAs("depth map", setting, resizeGraph(sizes));
}

function compileAs(label: string, setting: Setting, outputs: Outputs): Promise<Plan> {
  const { device, weights, signal } = setting;
  return compile(device, outputs, { label, weights, signal });
}

/** Runs a plan of `compileDepth` on its pictures. Throws SHAPE if they are not as many, or of that size. */
export function estimateDepth(
  plan: Plan,
  pictures: readonly Pick<DepthPixels, "data">[],
): Promise<DepthLatents> {
  return run(plan, "pixels", pictures);
}

/**
 * Runs a plan of `compileDepthResize` on its maps, each [height, width]. A map that holds NaN or infinity
 * gives zeros, and a warning. Throws SHAPE if they are not as many, or of that size.
 */
export function givenDepth(plan: Plan, maps: readonly Given[]): Promise<DepthLatents> {
  return run(plan, "depth", maps);
}

interface Given {
  readonly data: Float32Array;
}

async function run(plan: Plan, name: string, parts: readonly Given[]): Promise<DepthLatents> {
  plan.write(name, joined(plan, name, parts));
  plan.run();
  const map = Float32Array.from(await plan.read("map"));
  const size = map.length / parts.length;
  for (const [i, part] of parts.entries()) {
    // What a shader makes of NaN is not defined: it is kept here, and told.
    if (!part.data.every(Number.isFinite)) map.fill(Number.NaN, i * size, (i + 1) * size);
  }
  return depthLatents(map, parts.length);
}

function joined(plan: Plan, name: string, parts: readonly Given[]): Float32Array {
  const { shape } = plan.program.inputs[name]!;
  const each = numel(shape.slice(1));
  const wrong = parts.find(({ data }) => data.length !== each);
  if (wrong || parts.length !== shape[0]) {
    const found = `${parts.length} with ${parts.map(({ data }) => data.length)} values`;
    throw new DiffusionError("SHAPE", `the plan wants ${name} of [${shape}], got ${found}`);
  }
  const all = new Float32Array(each * parts.length);
  parts.forEach(({ data }, i) => {
    all.set(
      data.map((v) => (Number.isFinite(v) ? v : 0)),
      i * each,
    );
  });
  return all;
}
