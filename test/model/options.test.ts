import assert from "node:assert/strict";
import type { DiffusionError } from "../../engine/errors.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import type { GenerateRequest } from "../../model/request.ts";
import { adapters } from "../support/devices.ts";
import { checkpointPath } from "../support/golden.ts";
import { samples } from "../support/pictures.ts";

const REQUEST = { prompt: "a red horse", steps: 2, seed: 1, scheduler: "euler" } as const;

describe("options of a run", () => {
  let sd: StableDiffusion;
  let usual: number[];
  const paint = async (part: Partial<GenerateRequest> = {}) =>
    samples((await sd.generate({ ...REQUEST, ...part })).images);
  before(async () => {
    const device = (await adapters())[0]!.device;
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
    await rejects({ promptSyntax: "a1111", prompt: "a horse AND a dog" }, /AND/);
    const changing = { promptSyntax: "a1111", prompt: "[a horse|a dog]", steps: 4 } as const;
    await rejects(changing, /from step to step/);
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
