import assert from "node:assert/strict";
import { mkdtemp, readdir, readFile, rm } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { PNG } from "pngjs";
import { Picture } from "../../model/picture.ts";

describe("a picture", () => {
  const data = Uint8ClampedArray.from({ length: 2 * 3 * 4 }, (_, i) => (i % 4 === 3 ? 255 : 9 * i));
  const picture = new Picture(2, 3, data);
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "picture-"));
  });
  after(() => rm(folder, { recursive: true }));

  it("is saved as a PNG with the same pixels, in the place of an older one", async () => {
    const path = join(folder, "out.png");
    await picture.save(path);
    await picture.save(path);
    const { width, height, data: found } = PNG.sync.read(await readFile(path));
    assert.deepEqual([width, height, [...found]], [2, 3, [...data]]);
    assert.deepEqual(await readdir(folder), ["out.png"]);
  });

  it("names the path that cannot be written, and leaves nothing there", async () => {
    const error = await picture.save(join(folder, "no", "such", "out.png")).catch((e) => e);
    assert.equal(error.code, "OUTPUT");
    assert.match(error.message, /no.such.out\.png cannot be written/);
    assert.ok(!(await readdir(folder)).includes("no"));
  });
});
