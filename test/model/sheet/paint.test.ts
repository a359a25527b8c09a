import assert from "node:assert/strict";
import type { DiffusionError } from "../../../engine/errors.ts";
import type { Device } from "../../../engine/index.ts";
import { StableDiffusion } from "../../../model/pipeline.ts";
import type { SheetEvent, SheetRequest } from "../../../model/sheet/axes.ts";
import { paintSheet } from "../../../model/sheet/paint.ts";
import { cropped } from "../../support/crop.ts";
import { adapters, settled } from "../../support/devices.ts";
import { fakePipeline } from "../../support/fake-pipeline.ts";
import { checkpointPath } from "../../support/golden.ts";

const REQUEST = { prompt: "a horse", width: 64, height: 64, seed: 1, steps: 2, scheduler: "ddim" };

describe("a sheet by the real pipeline", () => {
  let device: Device;
  let sd: StableDiffusion;
  before(async () => {
    device = (await adapters())[0]!.device;
    sd = await StableDiffusion.fromPretrained(checkpointPath("tiny-eps"), { device, dtype: "f32" });
  });
  after(() => sd[Symbol.asyncDispose]());
  afterEach(() => settled(device));

  it("has in each cell the pixels that the cell's request gives alone", async () => {
    const lists = { guidanceScale: [1, 3], scheduler: ["euler", "pndm"] };
    const sheet = await paintSheet(sd, { ...REQUEST, ...lists });
    assert.deepEqual([sheet.rows, sheet.columns, sheet.cells.length], [2, 2, 4]);
    for (const { request, x, y, image, row, column } of sheet.cells) {
      const { scheduler, guidanceScale } = request;
      assert.equal(guidanceScale, lists.guidanceScale[column]);
      assert.equal(scheduler, lists.scheduler[row]);
      const alone = await sd.generate({ ...REQUEST, scheduler, guidanceScale });
      assert.deepEqual(image, alone.images[0]);
      assert.deepEqual(cropped(sheet.image, { x, y }, image), { ...alone.images[0] });
    }
    const { scheduler, guidanceScale, seed } = sheet.request;
    assert.deepEqual({ scheduler, guidanceScale, seed }, { ...lists, seed: 1 });
  });

  it("makes plans once for cells of one kind, in whatever order they stand", async () => {
    const made = countBuffers(device);
    const counts: number[] = [];
    await paintSheet(sd, {
      ...{ ...REQUEST, guidanceScale: [3, 1, 7.5], scheduler: ["ddim", "euler"] },
      onStep({ cell, step }) {
        if (step % 2 === 0) counts[cell] = made.count;
      },
    });
    made.stop();
    assert.equal(new Set(counts.slice(1, 3)).size, 1, "two cells without guidance");
    assert.equal(new Set(counts.slice(3)).size, 1, "four with");
    assert.ok(counts[3]! > counts[1]!);
  });

  it("is refused before any GPU work where one cell cannot be painted", async () => {
    const bytes = device.allocatedBytes;
    for (const [lists, code, message] of [
      [{ steps: [2, 1001] }, "BAD_REQUEST", /steps must be.*got 1001/],
      [{ scheduler: ["ddim", "magic"] }, "BAD_REQUEST", /got "magic"/],
      [
        { scheduler: ["euler", "EulerDiscreteScheduler"] },
        "BAD_REQUEST",
        /mean the same \(euler\)/,
      ],
      [{ scheduler: ["ddim", "pndm"], timesteps: [9, 5] }, "SCHEDULER", /pndm takes no timesteps/],
      [{ guidanceScale: [1, 101] }, "BAD_REQUEST", /guidanceScale/],
      [{ seed: seeds(200), width: 2048, height: 2048 }, "BAD_REQUEST", /at most 100 million/],
    ] as const) {
      await assert.rejects(
        paintSheet(sd, { ...REQUEST, ...lists } as SheetRequest),
        (error: DiffusionError) => error.code === code && message.test(error.message),
      );
    }
    assert.equal(device.allocatedBytes, bytes);
  });
});

describe("a sheet's progress", () => {
  it("goes on over all cells, and says which one is painted", async () => {
    const pipeline = await fakePipeline().load("");
    const events: SheetEvent[] = [];
    const onStep = (event: SheetEvent) => void events.push(event);
    await paintSheet(pipeline, { prompt: "x", steps: [3, 1], onStep });
    assert.deepEqual(
      events.map(({ step, steps, cell, cells }) => [step, steps, cell, cells]),
      [
        [1, 4, 1, 2],
        [2, 4, 2, 2],
        [3, 4, 2, 2],
        [4, 4, 2, 2],
      ],
    );
    assert.equal(events.at(-1)!.etaMs, 0);
  });
});

const seeds = (count: number) => Array.from({ length: count }, (_, i) => i);

/** Counts the buffers that are made, but for those that pictures are read through. */
function countBuffers(device: Device) {
  const { gpu } = device;
  const original = gpu.createBuffer;
  const counter = {
    count: 0,
    stop() {
      gpu.createBuffer = original;
    },
  };
  gpu.createBuffer = function (descriptor) {
    if (!(descriptor.usage & GPUBufferUsage.MAP_READ)) counter.count++;
    return original.call(this, descriptor);
  };
  return counter;
}
