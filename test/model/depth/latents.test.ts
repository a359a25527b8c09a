import assert from "node:assert/strict";
import { type Device, type Plan, WeightCache } from "../../../engine/index.ts";
import { compileDepthResize, depthLatents, givenDepth } from "../../../model/depth/index.ts";
import { openTinyDepth } from "../../support/depth.ts";
import { adapters } from "../../support/devices.ts";
import { maxError } from "../../support/golden.ts";

const TOLERANCE = 1e-5;

describe("depthLatents", () => {
  it("brings each picture of any scale to -1..1", () => {
    const { data, warning } = depthLatents(Float32Array.of(5, 7, 9, 3000, -1000, 0), 2);
    assert.deepEqual([...data], [-1, 0, 1, 1, -1, -0.5]);
    assert.equal(warning, undefined);
  });

  it("gives zeros and says so where all is at the same depth", () => {
    const { data, warning } = depthLatents(Float32Array.of(4, 4, 4, 0, 1, 2), 2);
    assert.deepEqual([...data], [0, 0, 0, -1, 0, 1]);
    assert.match(warning!, /same depth everywhere.*without depth/);
    const nearly = depthLatents(Float32Array.of(7, 7 * (1 + 2 ** -17), 7));
    assert.deepEqual([...nearly.data], [0, 0, 0]);
    assert.match(nearly.warning!, /same depth everywhere/);
    assert.equal(depthLatents(Float32Array.of(7, 7 * (1 + 2 ** -15))).warning, undefined);
  });

  it("gives zeros and says so where values or their range are not finite", () => {
    for (const value of [Number.NaN, Number.POSITIVE_INFINITY, Number.NEGATIVE_INFINITY]) {
      const { data, warning } = depthLatents(Float32Array.of(1, value, 2));
      assert.deepEqual([...data], [0, 0, 0]);
      assert.match(warning!, /not finite/);
    }
    const huge = depthLatents(Float32Array.of(-3e38, 3e38));
    assert.deepEqual([...huge.data], [0, 0]);
    assert.match(huge.warning!, /too large a range/);
  });
});

describe("a depth map that is given", () => {
  let device: Device;
  let weights: WeightCache;
  let plan: Plan;
  let map: { readonly shape: readonly number[]; readonly data: Float32Array };
  let expected: Float64Array;
  before(async () => {
    device = (await adapters())[0]!.device;
    const { golden } = await openTinyDepth();
    const { data, shape } = golden("given/depth_map");
    map = { shape: shape.slice(1), data: Float32Array.from(data) };
    expected = golden("given/latents").data;
    weights = new WeightCache(device);
    const { signal } = new AbortController();
    const from = map.shape as [number, number];
    const sizes = { batch: 2, from, latents: [5, 7] as const };
    plan = await compileDepthResize({ device, weights, dtype: "f32", signal }, sizes);
  });
  after(async () => {
    await plan?.destroy();
    await weights?.destroy();
  });

  it("becomes diffusers' latents, whatever its scale", async () => {
    const small = { data: map.data.map((d) => d / 4096) };
    const { data, warning } = await givenDepth(plan, [map, small]);
    assert.equal(warning, undefined);
    for (const half of [data.subarray(0, 35), data.subarray(35)]) {
      const error = maxError(half, expected);
      assert.ok(error <= TOLERANCE, `the latents are off by ${error}`);
    }
  });

  it("becomes zeros with a warning where it is flat or holds NaN, and spares its neighbour", async () => {
    const flat = { data: new Float32Array(map.data.length).fill(7) };
    const broken = { data: map.data.with(100, Number.NaN) };
    for (const [bad, says] of [
      [flat, /same depth/],
      [broken, /not finite/],
    ] as const) {
      const { data, warning } = await givenDepth(plan, [bad, map]);
      assert.deepEqual([...data.subarray(0, 35)], new Array(35).fill(0));
      assert.ok(maxError(data.subarray(35), expected) <= TOLERANCE);
      assert.match(warning!, says);
    }
  });

  it("must be as many and as large as the plan wants", async () => {
    await assert.rejects(givenDepth(plan, [map]), { code: "SHAPE", message: /\[2,37,53,1\]/ });
    const short = { data: new Float32Array(5) };
    await assert.rejects(givenDepth(plan, [map, short]), { code: "SHAPE", message: /5 values/ });
  });
});
