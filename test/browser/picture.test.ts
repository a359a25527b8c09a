/** The checkpoint that ships, in a real browser. */
import assert from "node:assert/strict";
import { join } from "node:path";
import type { Browser, Page } from "playwright-core";
import { openDevice } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/index.ts";
import { root } from "./support/bundle.ts";
import { launch } from "./support/chromium.ts";
import { inPage, libraryPage, librarySite } from "./support/library-page.ts";
import type { Site } from "./support/site.ts";

const REQUEST = {
  prompt: "a red cube on top of a blue sphere",
  ...{ steps: 3, guidanceScale: 7.5, scheduler: "ddim", seed: 7 },
};

describe("a picture in Chromium", () => {
  let site: Site;
  let browser: Browser;
  let page: Page;
  before(async () => {
    site = await librarySite();
    browser = await launch();
    page = await libraryPage(site, await browser.newContext());
  });
  after(async () => {
    await browser?.close();
    await site?.[Symbol.asyncDispose]();
  });

  it("is the one that Node paints on SwiftShader, with default limits and without shader-f16", async () => {
    const painted = await inPage(
      page,
      async ({ engine, library }, request) => {
        const device = await engine.openDevice({ minimal: true });
        const sd = await library.StableDiffusion.fromPretrained("/models/shapes/", { device });
        const previews: number[] = [];
        const { images, model } = await sd.generate({
          ...request,
          onPreview: ({ image }) => previews.push(image.width, image.height),
        });
        await sd[Symbol.asyncDispose]();
        const left = device.allocatedBytes;
        device.destroy();
        const blob = await images[0]!.toBlob();
        return { data: [...images[0]!.data], model, previews, left, type: blob.type };
      },
      REQUEST,
    );
    assert.equal(painted.left, 0);
    assert.match(painted.model.adapter ?? "", /swiftshader/i);
    assert.deepEqual(painted.previews.slice(0, 2), [16, 16]);
    assert.equal(painted.type, "image/png");
    const ours = await inNode();
    const off = ours.map((value, i) => Math.abs(value - painted.data[i]!));
    console.log(
      `      of ${off.length} bytes ${off.filter((d) => d > 0).length} differ, by ${Math.max(...off)} at most`,
    );
    assert.ok(Math.max(...off) <= 1, "within one level of 255");
  });
});

async function inNode(): Promise<number[]> {
  const device = await openDevice({ adapter: "swiftshader", minimal: true });
  const sd = await StableDiffusion.fromPretrained(join(root, "model/shapes"), { device });
  const { images } = await sd.generate(REQUEST);
  await sd[Symbol.asyncDispose]();
  device.destroy();
  return [...images[0]!.data];
}
