import assert from "node:assert/strict";
import type { Device } from "../../engine/index.ts";
import type { Tensor } from "../../engine/tensor.ts";
import { type ModelFolder, openFolder } from "../../model/folder.node.ts";
import { buildBlock, openParts } from "../support/blocks.ts";
import { adapters } from "../support/devices.ts";
import { runAll } from "../support/fused.ts";
import {
  type BlockEntry,
  channelsLast,
  type GoldenTensors,
  maxError,
  openGolden,
  rmsError,
  STAGE_TOLERANCE,
} from "../support/golden.ts";
import {
  readTaskGolden,
  removeTaskFolders,
  TASK_MODELS,
  taskFolder,
} from "../support/task-folder.ts";

/** rms(Δ) / rms(expected) of a whole model in f16: 46 dB. */
const HALF_TOLERANCE = 5e-3;

type Entry = BlockEntry & { readonly model: string };

describe("the UNets of the other tasks against PyTorch", () => {
  const entries = readTaskGolden<Entry[]>("blocks.json");
  const folders: ModelFolder[] = [];
  let device: Device;
  let golden: GoldenTensors;
  before(async () => {
    device = (await adapters())[0]!.device;
    golden = await openGolden("tasks", ["blocks.safetensors"]);
  });
  after(async () => {
    for (const folder of folders) await folder.close();
    removeTaskFolders();
  });

  // depth-b is inpaint-a's but for two convolutions.
  for (const model of TASK_MODELS.filter((name) => name !== "depth-b")) {
    const own = entries.filter((entry) => entry.model === model);
    const run = async (dtype: "f32" | "f16") => {
      const folder = await openFolder(await taskFolder(model));
      folders.push(folder);
      const parts = await openParts(folder);
      const outputs: Record<string, Tensor> = {};
      for (const entry of own) outputs[entry.name] = buildBlock(parts, entry, golden, dtype)[0]!;
      return runAll(device, outputs);
    };
    const expected = ({ file, output }: Entry) => channelsLast(golden(file, output as string)).data;

    it(`${model}: ${own.map(({ name }) => name).join(", ")} in f32`, async () => {
      const results = await run("f32");
      assert.ok(own.some(({ module }) => module === ""));
      for (const entry of own) {
        const error = maxError(results[entry.name]!, expected(entry));
        assert.ok(error <= STAGE_TOLERANCE, `${entry.name} is off by ${error}`);
      }
    });

    it(`${model} in f16`, async () => {
      const results = await run("f16");
      for (const entry of own.filter(({ module }) => module === "")) {
        const error = rmsError(results[entry.name]!, expected(entry));
        assert.ok(error <= HALF_TOLERANCE, `${entry.name}: the rms error is ${error}`);
      }
    });
  }
});
