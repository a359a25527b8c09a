/** Whether the noise or v is predicted: the rule of the norm's bias, and the probe that checks it. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { encodeHalf } from "../../engine/dtype.ts";
import { type Device, WeightCache } from "../../engine/index.ts";
import type { StoredDtype, StoredTensor } from "../../engine/safetensors.ts";
import { type Checkpoint, openCheckpoint } from "../../model/checkpoint.ts";
import type { Detected } from "../../model/detect.ts";
import { openModel } from "../../model/open.node.ts";
import {
  isDoubtful,
  normBiasDeviation,
  predictionByNormBias,
  predictionByProbe,
} from "../../model/prediction.ts";
import { doubtOfPrediction, probeOutput } from "../../model/probe.ts";
import { failsWith } from "../support/byte-source.ts";
import { adapters, settled } from "../support/devices.ts";
import {
  type CheckpointName,
  checkpointPath,
  maxError,
  STAGE_TOLERANCE,
} from "../support/golden.ts";

/** Outputs [4,8,8] of diffusers' UNets for the probe. */
const GOLDEN: Readonly<Record<string, number[]>> = JSON.parse(
  readFileSync(new URL("../fixtures/ldm/probe.json", import.meta.url), "utf8"),
);

const VALUES = [0.5, -1, 0.25, 2];
/** Of the population, as ComfyUI takes it. */
const DEVIATION = Math.sqrt((0.0625 ** 2 + 1.4375 ** 2 + 0.1875 ** 2 + 1.5625 ** 2) / 4);

const bytesOf: Partial<Record<StoredDtype, Uint8Array>> = {
  F32: new Uint8Array(new Float32Array(VALUES).buffer),
  F16: new Uint8Array(encodeHalf(VALUES).buffer),
  // The upper halves: these values need no more.
  BF16: new Uint8Array(
    Uint16Array.from(new Uint32Array(new Float32Array(VALUES).buffer), (word) => word >>> 16)
      .buffer,
  ),
};

function unetWith(block: number, dtype: StoredDtype, bytes: Uint8Array) {
  const name = `output_blocks.${block}.1.transformer_blocks.0.norm1.bias`;
  // Unaligned, as bytes in a file may be.
  const shifted = new Uint8Array(bytes.length + 1);
  shifted.set(bytes, 1);
  const read = async () => shifted.subarray(1);
  const tensor: StoredTensor = { name, dtype, shape: [4], byteLength: bytes.length, read };
  return [name, tensor] as const;
}

describe("the rule of the norm's bias", () => {
  for (const [dtype, bytes] of Object.entries(bytesOf)) {
    it(`takes the deviation of the last transformer's, in ${dtype}`, async () => {
      const zeros = new Uint8Array(bytes.length);
      const type = dtype as StoredDtype;
      // The last by number: "9" would come after "11" by name.
      const unet = new Map([unetWith(11, type, bytes), unetWith(9, type, zeros)]);
      assert.ok(Math.abs((await normBiasDeviation(unet)) - DEVIATION) < 1e-7);
    });
  }

  it("says v above 0.09, and is in doubt within a factor of 1.5 of it", () => {
    assert.deepEqual([0.0899, 0.0901].map(predictionByNormBias), ["epsilon", "v_prediction"]);
    const sizes = [0, 0.05, 0.061, 0.09, 0.134, 0.136, Number.NaN];
    assert.deepEqual(sizes.map(isDoubtful), [false, false, true, true, true, false, true]);
  });

  it("refuses a UNet without that norm, and another dtype", async () => {
    await failsWith(normBiasDeviation(new Map()), "WEIGHTS_MISMATCH", /no transformer/);
    const eight = new Map([unetWith(11, "F8_E4M3", new Uint8Array(4))]);
    await failsWith(normBiasDeviation(eight), "WEIGHTS_DTYPE", /F8_E4M3/);
  });
});

describe("the probe", () => {
  const constant = (value: number) => new Float32Array(256).fill(value);

  it("says v where the output is on average more than 1 below the input", () => {
    assert.equal(predictionByProbe(constant(-0.51)), "v_prediction");
    assert.equal(predictionByProbe(constant(-0.49)), "epsilon");
    assert.equal(predictionByProbe(constant(0.5)), "epsilon");
    assert.throws(() => predictionByProbe(constant(Number.NaN)), { code: "NUMERIC" });
  });

  describe("on a device", () => {
    let device: Device;
    before(async () => {
      device = (await adapters())[0]!.device;
    });
    afterEach(() => settled(device));

    /** Runs `use` with a checkpoint and a setting whose weights are freed after it. */
    const using = async (
      name: CheckpointName,
      use: (checkpoint: Checkpoint, setting: Parameters<typeof probeOutput>[0]) => Promise<void>,
    ) => {
      await using checkpoint = await openCheckpoint(await openModel(checkpointPath(name)));
      const weights = new WeightCache(device);
      const { signal } = new AbortController();
      await use(checkpoint, { device, weights, dtype: "f32", signal });
      await weights.destroy();
    };

    it("gets the answer that diffusers' UNet gives, and frees what it took", () =>
      using("tiny-v", async (checkpoint, setting) => {
        const bytes = device.allocatedBytes;
        const output = await probeOutput(setting, checkpoint);
        const pixels = 64;
        const planes = Array.from(
          output,
          (_, i) => output[(i % pixels) * 4 + Math.floor(i / pixels)]!,
        );
        assert.ok(maxError(planes, GOLDEN["tiny-v"]!) <= STAGE_TOLERANCE);
        await setting.weights.destroy();
        assert.equal(device.allocatedBytes, bytes);
      }));

    it("is asked only where the rule was, in its doubt or where warnings are errors", () =>
      using("tiny-v", async ({ unet, detected }, setting) => {
        const asked = (change: Partial<Detected>, strict = false) => {
          // tiny-v answers as a model of the noise does: it was not trained.
          const claim = {
            ...detected,
            prediction: "v_prediction",
            by: "norm-bias",
            ...change,
          } as const;
          return doubtOfPrediction(setting, { unet, detected: claim }, strict);
        };
        assert.equal(await asked({ by: "config", normBias: 0.1 }, true), undefined);
        assert.equal(await asked({ by: "option" }, true), undefined);
        assert.equal(await asked({ normBias: 0.3 }), undefined);
        assert.match(
          (await asked({ normBias: 0.1 }))!,
          /norm's bias \(0\.100\) it is v, by its answer eps/,
        );
        assert.match((await asked({ normBias: 0.3 }, true))!, /--prediction eps/);
        assert.equal(await asked({ normBias: 0.08, prediction: "epsilon" }), undefined);
      }));
  });
});
