import assert from "node:assert/strict";
import type { Device } from "../../engine/index.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { openFolder } from "../../model/folder.node.ts";
import { buildBlock, isCovered, openParts, type Parts } from "../support/blocks.ts";
import { adapters } from "../support/devices.ts";
import { runAll } from "../support/fused.ts";
import {
  type BlockEntry,
  CHECKPOINTS,
  channelsLast,
  checkpointPath,
  flat,
  type GoldenTensors,
  maxError,
  openGolden,
  readGolden,
  rmsError,
  STAGE_TOLERANCE,
} from "../support/golden.ts";

/** rms(Δ) / rms(expected) of a whole model in f16: 46 dB. */
const HALF_TOLERANCE = 5e-3;

for (const checkpoint of CHECKPOINTS) {
  const blocks = readGolden<BlockEntry[]>(checkpoint, "blocks.json").filter(isCovered);
  const whole = blocks.filter(({ module }) => module === "");

  describe(`${checkpoint} against PyTorch`, () => {
    let device: Device;
    let parts: Parts;
    let golden: GoldenTensors;
    before(async () => {
      device = (await adapters())[0]!.device;
      parts = await openParts(await openFolder(checkpointPath(checkpoint)));
      golden = await openGolden(checkpoint, [...new Set(blocks.map(({ file }) => file))]);
    });
    after(() => parts?.folder.close());

    /** All entries as one plan: results by entry and number of the output. */
    const run = (entries: readonly BlockEntry[], dtype: "f32" | "f16") => {
      const outputs: Record<string, Tensor> = {};
      for (const entry of entries) {
        const results = buildBlock(parts, entry, golden, dtype);
        results.forEach((t, i) => {
          outputs[`${entry.name}/${i}`] = t;
        });
      }
      return runAll(device, outputs);
    };
    const expected = ({ file }: BlockEntry, name: string) => channelsLast(golden(file, name)).data;

    describe("in f32", () => {
      let results: Awaited<ReturnType<typeof run>>;
      before(async () => {
        results = await run(blocks, "f32");
      });
      for (const entry of blocks) {
        it(`${entry.name} (${entry.class})`, () => {
          flat(entry.output).forEach((name, i) => {
            const error = maxError(results[`${entry.name}/${i}`]!, expected(entry, name));
            assert.ok(error <= STAGE_TOLERANCE, `${name} is off by ${error}`);
          });
        });
      }
    });

    describe("in f16", () => {
      let results: Awaited<ReturnType<typeof run>>;
      before(async () => {
        results = await run(whole, "f16");
      });
      for (const entry of whole) {
        it(entry.name, () => {
          const error = rmsError(
            results[`${entry.name}/0`]!,
            expected(entry, flat(entry.output)[0]!),
          );
          assert.ok(error <= HALF_TOLERANCE, `the rms error is ${error}`);
        });
      }
    });
  });
}
