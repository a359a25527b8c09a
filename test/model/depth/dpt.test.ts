import assert from "node:assert/strict";
import { type Device, tensor, WeightCache } from "../../../engine/index.ts";
import type { Tensor } from "../../../engine/tensor.ts";
import { dpt } from "../../../model/depth/dpt.ts";
import {
  compileDepth,
  depthGraph,
  dptProcessor,
  estimateDepth,
} from "../../../model/depth/index.ts";
import { depthPixels } from "../../../model/depth/processor.ts";
import type { Setting } from "../../../model/painter.ts";
import {
  buildDepthBlock,
  type DepthEntry,
  openTinyDepth,
  type TinyDepth,
} from "../../support/depth.ts";
import { adapters } from "../../support/devices.ts";
import { runAll } from "../../support/fused.ts";
import { channelsLast, flat, maxError, readGolden, rmsError } from "../../support/golden.ts";

/** max|Δ| / max|expected| in f32; PyTorch's own runs differ by about 1e-6. */
const TOLERANCE = 1e-5;
/** rms(Δ) / rms(expected) of the whole network in f16: 46 dB. */
const HALF_TOLERANCE = 5e-3;

const entries = readGolden<DepthEntry[]>("tiny-depth", "blocks.json");
const RUNS = ["32x64", "64x32"] as const;

describe("the depth estimator against PyTorch", () => {
  let device: Device;
  let tiny: TinyDepth;
  before(async () => {
    device = (await adapters())[0]!.device;
    tiny = await openTinyDepth();
  });

  /** The pictures of a run as the network wants them, [B, H, W, 3]. */
  const picturesOf = (run: string) => {
    const { data, shape } = tiny.golden(`${run}/pictures`);
    const [batch, height, width] = shape as [number, number, number, number];
    const processor = dptProcessor({ do_resize: false });
    const size = data.length / batch;
    const each = Array.from({ length: batch }, (_, i) => {
      const bytes = Uint8Array.from(data.subarray(i * size, (i + 1) * size));
      return depthPixels({ height, width, data: bytes }, processor, 32, () => assert.fail());
    });
    return { each, shape };
  };

  const whole = (run: string, dtype: "f32" | "f16"): Tensor => {
    const { each, shape } = picturesOf(run);
    const all = each.flatMap(({ data }) => [...data]);
    return dpt(tiny.part.weights, tiny.part.config, tensor(all, shape, dtype));
  };

  describe("in f32", () => {
    let results: Awaited<ReturnType<typeof runAll>>;
    before(async () => {
      const outputs: Record<string, Tensor> = {};
      for (const entry of entries) {
        for (const [i, t] of buildDepthBlock(tiny, entry, "f32").entries()) {
          outputs[`${entry.name}/${i}`] = t;
        }
      }
      for (const run of RUNS) outputs[run] = whole(run, "f32");
      results = await runAll(device, outputs);
    });
    for (const { name, class: of, output } of entries) {
      it(`${name} (${of})`, () => {
        flat(output).forEach((key, i) => {
          const expected = channelsLast(tiny.golden(key));
          const error = maxError(results[`${name}/${i}`]!, expected.data);
          assert.ok(error <= TOLERANCE, `${key} is off by ${error}`);
        });
      });
    }
    for (const run of RUNS) {
      it(`whole, pictures of ${run}`, () => {
        const error = maxError(results[run]!, tiny.golden(`${run}/depth`).data);
        assert.ok(error <= TOLERANCE, `the depth is off by ${error}`);
      });
    }
  });

  it("in f16", async () => {
    const results = await runAll(device, { depth: whole("64x32", "f16") });
    const error = rmsError(results.depth!, tiny.golden("64x32/depth").data);
    assert.ok(error <= HALF_TOLERANCE, `the rms error is ${error}`);
  });

  it("gives the latents that diffusers puts beside the noise", async () => {
    const { data, shape } = tiny.golden("pipeline/resized");
    const [height, width] = shape as [number, number, number];
    const { data: expected } = tiny.golden("pipeline/latents");
    const picture = { height, width, data: Uint8Array.from(data) };
    const pixels = depthPixels(picture, dptProcessor({ do_resize: false }), 32, () =>
      assert.fail(),
    );
    const setting = settingOf(device);
    const sizes = { from: [height, width], latents: [5, 7] } as const;
    const plan = await compileDepth(setting, tiny.part, sizes);
    try {
      const { data: latents, warning } = await estimateDepth(plan, [pixels]);
      assert.equal(warning, undefined);
      const error = maxError(latents, expected);
      assert.ok(error <= TOLERANCE, `the latents are off by ${error}`);
      await assert.rejects(estimateDepth(plan, [pixels, pixels]), { code: "SHAPE" });
      await assert.rejects(estimateDepth(plan, [{ data: new Float32Array(3) }]), { code: "SHAPE" });
    } finally {
      await plan.destroy();
      await setting.weights.destroy();
    }
  });

  it("refuses pictures that it cannot halve often enough, before any work", () => {
    for (const from of [
      [48, 64],
      [64, 33],
      [0, 32],
    ] as const) {
      const build = () => depthGraph(tiny.part, { from, latents: [8, 8] }, "f32");
      assert.throws(build, { code: "SHAPE", message: /multiples of 32/ });
    }
  });
});

function settingOf(device: Device): Setting {
  const { signal } = new AbortController();
  return { device, weights: new WeightCache(device), dtype: "f32", signal };
}
