/** What tiled upscaling needs at the real x4 upscaler's sizes: 1024x1024 to 4096x4096 in f16, by the plans alone. */
import assert from "node:assert/strict";
import type { Outputs } from "../../engine/graph.ts";
import { cast, input } from "../../engine/index.ts";
import type { Target } from "../../engine/lower/lowering.ts";
import { lower } from "../../engine/program.ts";
import { unetConfig, vaeConfig } from "../../model/config.ts";
import { decodeTileGraph } from "../../model/decode.ts";
import { stepGraph, textGraph, timeGraph } from "../../model/denoise.ts";
import { expectedUnet, expectedVae } from "../../model/expected.ts";
import { tileGrid } from "../../model/tile-grid.ts";
import { blendedStepGraph, tileGraph } from "../../model/tiled-steps.ts";
import { totals } from "../../tools/plans/dump.ts";
import { unreadable } from "../../tools/plans/full-size.ts";
import { DEFAULT_GPU } from "../../tools/plans/targets.ts";

const MIB = 2 ** 20;

const UNET = unetConfig({
  ...{ sample_size: 128, in_channels: 7, block_out_channels: [256, 512, 512, 1024] },
  down_block_types: ["DownBlock2D", ...Array(3).fill("CrossAttnDownBlock2D")],
  up_block_types: [...Array(3).fill("CrossAttnUpBlock2D"), "UpBlock2D"],
  ...{ attention_head_dim: 8, cross_attention_dim: 1024, use_linear_projection: true },
  ...{ only_cross_attention: [true, true, true, false], num_class_embeds: 1000 },
});
const VAE = vaeConfig({
  ...{ block_out_channels: [128, 256, 512], layers_per_block: 2, sample_size: 256 },
  ...{ scaling_factor: 0.08333, down_block_types: Array(3).fill("DownEncoderBlock2D") },
  up_block_types: Array(3).fill("UpDecoderBlock2D"),
});
const WEIGHTS = {
  unet: unreadable("unet", expectedUnet(UNET)),
  vae: unreadable("vae", expectedVae(VAE)),
};

/** With guidance, 75 steps. */
function sizesOf(side: number) {
  const context = input("context", [2, 77, 1024], "f16");
  const sinusoids = cast(input("sinusoids", [75, 256], "f32"), "f16");
  return {
    ...{ latents: { batch: 1, height: side, width: side, channels: 4 }, evaluations: 75 },
    ...{ repeats: 2, dtype: "f16" as const, beside: 3 },
    text: textGraph(WEIGHTS.unet, UNET, context),
    times: timeGraph(WEIGHTS.unet, sinusoids, input("label", [1], "i32")).times,
  };
}

const needs = (graph: Outputs, target: Target = DEFAULT_GPU) => totals(lower(graph, target));

describe("the plans of the x4 upscaler for 1024x1024 pixels in f16", () => {
  const sizes = sizesOf(1024);
  const { tile } = tileGrid({ height: 1024, width: 1024 }, 256, 64);

  it("fit WebGPU's default limits in tiles of 256, at most 1.3 GiB for all results", () => {
    const plans = {
      tile: needs(tileGraph(WEIGHTS.unet, UNET, sizes, tile)),
      step: needs(blendedStepGraph(sizes)),
      decode: needs(decodeTileGraph(WEIGHTS.vae, VAE, sizes.latents, tile, "f16")),
    };
    for (const [name, { largestBinding, largestBuffer }] of Object.entries(plans)) {
      assert.ok(largestBinding <= 128 * MIB, `${name} binds ${largestBinding}`);
      assert.ok(largestBuffer <= 256 * MIB, `${name} has a buffer of ${largestBuffer}`);
    }
    const mib = (bytes: number) => Math.round(bytes / MIB);
    assert.deepEqual(
      Object.values(plans).map(({ activations }) => mib(activations)),
      [730, 112, 1209],
    );
  });

  it("do not in one piece, nor in tiles of 512", () => {
    const whole = needs(stepGraph(WEIGHTS.unet, UNET, sizesOf(512)));
    assert.ok(whole.largestBinding > 128 * MIB);
    const large = tileGrid({ height: 1024, width: 1024 }, 512, 128).tile;
    const inTiles = needs(tileGraph(WEIGHTS.unet, UNET, sizes, large));
    assert.ok(inTiles.largestBinding > 128 * MIB);
  });

  it("need no more for a canvas nine times as large but its own few planes", () => {
    const small = needs(tileGraph(WEIGHTS.unet, UNET, sizesOf(341), tile)).activations;
    const large = needs(tileGraph(WEIGHTS.unet, UNET, sizes, tile)).activations;
    // The scaled latents with the picture beside them, and the sum: 2 halves x 1024² x 4, 8 and 4 values.
    assert.ok(large - small <= 2 * 1024 ** 2 * (4 * 2 + 8 * 2 + 4 * 4), `${large - small}`);
  });
});
