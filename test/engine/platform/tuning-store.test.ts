/** Where records of tuning are kept: files in Node, IndexedDB in browsers. */
import assert from "node:assert/strict";
import { mkdtemp, readdir, rm, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { indexedDbTuningStore } from "../../../engine/platform/tuning-store.browser.ts";
import { fileTuningStore, tuningStore } from "../../../engine/platform/tuning-store.node.ts";
import type { TuningStore } from "../../../engine/tuning/record.ts";
import { fakeIndexedDb } from "../../support/fake-indexed-db.ts";

function behavesAsAStore(name: string, make: () => Promise<TuningStore>): void {
  describe(name, () => {
    it("has nothing at first, then what was written last, for each device", async () => {
      const store = await make();
      assert.equal(await store.read("a / b"), undefined);
      await store.write("a / b", "one");
      await store.write("a / b", "two");
      await store.write("a - b", "other");
      assert.equal(await store.read("a / b"), "two");
      assert.equal(await store.read("a - b"), "other");
    });
  });
}

const folders: string[] = [];
const scratch = async () => {
  const folder = await mkdtemp(join(tmpdir(), "wgsl-diffusion-tuning-"));
  folders.push(folder);
  return folder;
};

describe("stores of tuning", () => {
  after(async () => {
    for (const folder of folders) await rm(folder, { recursive: true });
  });

  behavesAsAStore("in files", async () => fileTuningStore(join(await scratch(), "new", "folder")));
  const database = fakeIndexedDb();
  behavesAsAStore("in IndexedDB", async () => indexedDbTuningStore(database));

  it("leave no other file behind, and a file is whole or not there", async () => {
    const folder = await scratch();
    const store = fileTuningStore(folder);
    await Promise.all(["one", "two"].map((text) => store.write("gpu", text.repeat(10_000))));
    assert.equal((await readdir(folder)).length, 1);
    assert.match((await store.read("gpu")) ?? "", /^((one)+|(two)+)$/);
  });

  it("are in the user's cache, or nowhere if the environment says so", async () => {
    const before = { ...process.env };
    try {
      const folder = await scratch();
      process.env.XDG_CACHE_HOME = folder;
      delete process.env.WGSL_DIFFUSION_TUNING;
      await tuningStore()!.write("gpu", "text");
      assert.equal((await readdir(join(folder, "wgsl-diffusion", "tuning"))).length, 1);
      process.env.WGSL_DIFFUSION_TUNING = "off";
      assert.equal(tuningStore(), undefined);
    } finally {
      process.env.XDG_CACHE_HOME = before.XDG_CACHE_HOME;
      process.env.WGSL_DIFFUSION_TUNING = before.WGSL_DIFFUSION_TUNING;
      for (const name of ["XDG_CACHE_HOME", "WGSL_DIFFUSION_TUNING"]) {
        if (before[name] === undefined) delete process.env[name];
      }
    }
  });

  it("in a file where the folder should be have nothing", async () => {
    const file = join(await scratch(), "file");
    await writeFile(file, "");
    assert.equal(await fileTuningStore(file).read("gpu"), undefined);
    await assert.rejects(fileTuningStore(file).write("gpu", "text"));
  });

  it("in IndexedDB reject with the database's fault", async () => {
    const broken = fakeIndexedDb({ fault: new Error("quota") });
    await assert.rejects(indexedDbTuningStore(broken).write("gpu", "text"), /quota/);
  });
});
