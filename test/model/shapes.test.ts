/** The checkpoint that ships: it paints what the prompt says, as diffusers would from the same folder. */
import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import { withLatents } from "../../tools/verify/latents-spy.ts";
import { adapters } from "../support/devices.ts";
import { openGolden, readGolden, rmsError } from "../support/golden.ts";
import { judge, relationBetween } from "../support/judge.ts";
import { distance, type PictureCase, requestOf, samples } from "../support/pictures.ts";

interface Scene {
  readonly prompt: string;
  readonly objects: readonly { readonly shape: string; readonly colour: string }[];
  readonly relation: string | null;
}

const FOLDER = new URL("../../model/shapes/", import.meta.url);

/** The first prompts that the evaluation drew: none of their combinations was ever rendered for training. */
const HELD_OUT: readonly Scene[] = JSON.parse(
  readFileSync(new URL("evaluation.json", FOLDER), "utf8"),
).examples.slice(0, 3);

describe("the checkpoint that ships", () => {
  let device: Device;
  let pipeline: StableDiffusion;
  before(async () => {
    device = (await adapters())[0]!.device;
    pipeline = await StableDiffusion.fromPretrained(FOLDER.pathname, { device, dtype: "f32" });
  });
  after(() => pipeline[Symbol.asyncDispose]());

  for (const picture of readGolden<PictureCase[]>("shapes", "pictures.json")) {
    it(`paints as diffusers does: ${picture.name}`, async () => {
      const golden = await openGolden("shapes", ["pictures.safetensors"]);
      const expected = (what: string) =>
        golden("pictures.safetensors", `${picture.name}/${what}`).data;
      const [width, height] = [picture.width / 8, picture.height / 8];
      const shape = { batch: picture.n, height, width, channels: 4 };
      const { result, latents } = await withLatents(device, shape, () =>
        pipeline.generate(requestOf(picture)),
      );
      assert.ok(rmsError(latents.at(-1)!, expected("latents")) <= 1e-5);
      const { withinOne, worst } = distance(samples(result.images), expected("pictures"));
      assert.ok(withinOne >= 0.99 && worst <= 3, `${withinOne} within a level, worst ${worst}`);
    });
  }

  for (const [seed, scene] of HELD_OUT.entries()) {
    it(`paints ${scene.prompt}`, async () => {
      const { prompt, objects, relation } = scene;
      const request = { prompt, seed, steps: 25, guidanceScale: 7.5, scheduler: "ddim" };
      const { images } = await pipeline.generate(request);
      const found = await judge(device, images[0]!);
      const there = [...found].filter(([, { there }]) => there).map(([colour]) => colour);
      assert.deepEqual(there.sort(), objects.map(({ colour }) => colour).sort());
      for (const { shape, colour } of objects) assert.equal(found.get(colour)!.shape, shape);
      if (relation === null) return;
      const [a, b] = objects.map(({ colour }) => found.get(colour)!.place);
      assert.equal(relationBetween(a!, b!), relation);
    });
  }
});
