import assert from "node:assert/strict";
import {
  CHECKPOINTS,
  channelsLast,
  maxError,
  openGolden,
  readGolden,
  rmsError,
  STAGE_TOLERANCE,
} from "../support/golden.ts";

/** What a wrong model put out; see test/fixtures/README.md. */
interface Fault {
  readonly fault: string;
  readonly what: string;
  readonly faulty: string;
  readonly file: string;
  readonly expected: string;
  readonly measure: "max" | "rms";
  readonly error: number;
  readonly tolerance: number;
}

/** The bound on final latents; a stage's is STAGE_TOLERANCE. */
const LATENTS_TOLERANCE = 1e-5;

const MEASURES = {
  max: { error: maxError, tolerance: STAGE_TOLERANCE },
  rms: { error: rmsError, tolerance: LATENTS_TOLERANCE },
} as const;

for (const checkpoint of CHECKPOINTS) {
  describe(`models with a fault planted, ${checkpoint}`, () => {
    const faults = readGolden<Fault[]>(checkpoint, "faults.json");
    for (const { fault, what, faulty, file, expected, measure, error, tolerance } of faults) {
      it(`${fault} is rejected by ${what}`, async () => {
        const golden = await openGolden(checkpoint, ["faults.safetensors", file]);
        const wrong = channelsLast(golden("faults.safetensors", faulty)).data;
        const right = channelsLast(golden(file, expected)).data;
        const { error: measured, tolerance: ours } = MEASURES[measure];
        assert.equal(ours, tolerance, "the tolerance that the fault was planted against");
        const found = measured(wrong, right);
        assert.ok(found > ours, `${found} would pass`);
        assert.ok(Math.abs(found / error - 1) < 0.01, `${found} was ${error} when it was planted`);
        assert.equal(measured(right, right), 0);
      });
    }
  });
}

describe("the comparison with golden tensors", () => {
  it("rejects NaN, infinity and results of another size", () => {
    for (const measure of [maxError, rmsError]) {
      assert.equal(measure([1, Number.NaN], [1, 2]), Number.POSITIVE_INFINITY);
      assert.equal(measure([1, Number.POSITIVE_INFINITY], [1, 2]), Number.POSITIVE_INFINITY);
      assert.equal(measure([1], [1, 2]), Number.POSITIVE_INFINITY);
    }
  });
});
