import assert from "node:assert/strict";
import { sd2Configs } from "../../bench/sd2.ts";
import { type Device, openDevice } from "../../engine/index.ts";
import { describeOnMatrixUnits } from "../support/devices.ts";
import { matrixShapes, shapeErrors } from "../support/matrix-shapes.ts";

/** Steps of an f16 between a product on matrix units and one without: both sum in f32, in another order. */
const PRODUCT_ULPS = 2;

/** rms(Δ) / rms of attention: its weights are halves on matrix units. */
const ATTENTION_ERROR = 2e-3;

describeOnMatrixUnits("the shapes of a full-size SD2", (getDevice, adapter) => {
  let plain: Device;
  before(async () => {
    plain = await openDevice({ adapter, matrix: false, software: false, bake: false });
  });
  after(() => plain?.destroy());

  it("come to the same as without: products within two steps, attention within 2e-3", async () => {
    const errors = await shapeErrors(matrixShapes(sd2Configs()), getDevice(), plain);
    assert.ok(errors.length >= 60, `${errors.length} shapes`);
    const wrong = errors.filter(({ kind, ulps, relative }) =>
      kind === "attention" ? relative > ATTENTION_ERROR : ulps > PRODUCT_ULPS,
    );
    assert.deepEqual(wrong, []);
  }).timeout(1_800_000);
});
