import assert from "node:assert/strict";
import type { DiffusionError } from "../../engine/errors.ts";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { GenerateRequest } from "../../model/request.ts";
import { adapters } from "../support/devices.ts";
import { checkpointPath } from "../support/golden.ts";
import { samples } from "../support/pictures.ts";

const REQUEST = { prompt: "a red horse", steps: 2, seed: 1, scheduler: "euler" } as const;

describe("options of a run", () => {
  let device: Device;
  let sd: StableDiffusion;
  let usual: number[];
  const paint = async (part: Partial<GenerateRequest> = {}) =>
    samples((await sd.generate({ ...REQUEST, ...part })).images);
  before(async () => {
    device = (await adapters())[0]!.device;
    sd = await StableDiffusion.fromPretrained(checkpointPath("tiny-eps"), { device, dtype: "f32" });
    usual = await paint();
  });
  after(() => sd[Symbol.asyncDispose]());

  const rejects = (part: Partial<GenerateRequest>, message: RegExp) =>
    assert.rejects(paint(part), (error: DiffusionError) => {
      assert.equal(error.code, "BAD_REQUEST");
      assert.match(error.message, message);
      return true;
    });

  it("reads a prompt without marks alike in both syntaxes, and emphasis in one", async () => {
    assert.deepEqual(await paint({ promptSyntax: "a1111" }), usual);
    assert.notDeepEqual(await paint({ promptSyntax: "a1111", prompt: "a (red:1.4) horse" }), usual);
  });

  it("takes AND and schedules for words in plain syntax", async () => {
    for (const prompt of ["a horse AND a dog", "[a horse|a dog]"]) {
      const plain = await paint({ prompt, steps: 4 });
      assert.notDeepEqual(await paint({ prompt, promptSyntax: "a1111", steps: 4 }), plain);
    }
    // A schedule that never changes is its text.
    const never = { promptSyntax: "a1111", prompt: "[a dog:a red horse:0]" } as const;
    assert.deepEqual(await paint(never), usual);
  });

  it("encodes all texts before the loop, and chooses anew only where one changes", async () => {
    const prompt = "a [red:green:2] horse AND a dog";
    const written = await watchWrites(device, () =>
      paint({ promptSyntax: "a1111", prompt, negativePrompt: "[cat::4]", steps: 6 }),
    );
    const steps = [0, 1, 2, 3, 4, 5].map((i) => `step ${i}`);
    // Encodings 0 and 1 are the negative prompt's, 2 and 3 those of the horse, 4 is the dog.
    steps.splice(5, 0, "rows 1,3,4");
    steps.splice(3, 0, "rows 0,3,4");
    assert.deepEqual(written, ["ids", "rows 0,2,4", ...steps]);
  });

  it("paints prompts of several chunks, and the same text in both halves", async () => {
    const prompt = "red horse ".repeat(60);
    assert.notDeepEqual(await paint({ promptSyntax: "a1111", prompt }), await paint({ prompt }));
    const same = await paint({ negativePrompt: REQUEST.prompt });
    assert.notDeepEqual(same, usual);
  });

  it("moves with each of them", async () => {
    for (const part of [{ clipSkip: 1 }, { guidanceRescale: 0.7 }, { rng: "numpy" }] as const)
      assert.notDeepEqual(await paint(part), usual, JSON.stringify(part));
    await rejects({ clipSkip: 2 }, /clipSkip must be a whole number between 0 and 1/);
  });

  it("gives the image back at strength 0", async () => {
    const data = Uint8Array.from({ length: 64 * 64 * 3 }, (_, i) => (i * 7) % 256);
    const image = { width: 64, height: 64, data };
    assert.deepEqual(await paint({ image, strength: 0 }), [...data]);
  });
});

/** What is written to `ids`, `rows` and `step` while `work` runs; of ids only that they are. */
async function watchWrites(device: Device, work: () => Promise<unknown>): Promise<string[]> {
  const { queue } = device.gpu;
  const { writeBuffer } = queue;
  const written: string[] = [];
  queue.writeBuffer = (buffer: GPUBuffer, at: number, data: GPUAllowSharedBufferSource) => {
    const values = (data as Uint8Array<ArrayBuffer>).slice();
    if (buffer.label === "ids") written.push("ids");
    else if (buffer.label === "step") written.push(`step ${new Int32Array(values.buffer)[0]}`);
    else if (buffer.label === "rows")
      written.push(`rows ${new Int32Array(values.buffer).slice(0, 3)}`);
    return writeBuffer.call(queue, buffer, at, data);
  };
  try {
    await work();
    return written;
  } finally {
    Object.assign(queue, { writeBuffer });
  }
}
