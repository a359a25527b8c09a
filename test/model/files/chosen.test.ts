/** Models in files that a user chose: Node has Blob and File too. */
import assert from "node:assert/strict";
import { openAsBlob, readdirSync } from "node:fs";
import { join } from "node:path";
import { blobSource, chosenFiles, type NamedBlob } from "../../../model/files/blob-files.ts";
import { openModel } from "../../../model/open.node.ts";
import { failsWith } from "../../support/byte-source.ts";

const TINY = join(import.meta.dirname, "../../fixtures/tiny-v");

async function tinyFiles(under = "chosen/tiny-v"): Promise<NamedBlob[]> {
  const names = readdirSync(TINY, { recursive: true, withFileTypes: true }).filter((each) =>
    each.isFile(),
  );
  return Promise.all(
    names.map(async ({ parentPath, name }) => {
      const path = join(parentPath, name);
      return { path: `${under}${path.slice(TINY.length)}`, blob: await openAsBlob(path) };
    }),
  );
}

describe("chosen files", () => {
  it("are a model, wherever its folder lies in what was chosen", async () => {
    for (const under of ["", "a/b/tiny-v", "/tiny-v"]) {
      await using model = await openModel(await tinyFiles(under));
      const tensors = await model.unet.tensors();
      const { read, byteLength } = tensors.get("conv_in.weight")!;
      assert.equal((await read(0, byteLength)).length, byteLength);
      assert.equal(model.scheduler.predictionType, "v_prediction");
    }
  });

  it("are none where there is no model_index.json, or two", async () => {
    const files = await tinyFiles();
    const without = files.filter(({ path }) => !path.endsWith("model_index.json"));
    await failsWith(openModel(without), "WEIGHTS_MISSING", /no model_index\.json/);
    const twice = [...files, ...(await tinyFiles("another"))];
    await failsWith(openModel(twice), "WEIGHTS_MISSING", /several models/);
    assert.throws(() => chosenFiles([]), { code: "WEIGHTS_MISSING" });
  });

  it("may be one file, which says what it is", async () => {
    const html = new File(["<!doctype html><title>404</title>"], "model.safetensors");
    await failsWith(openModel(html), "WEIGHTS_FORMAT", /model\.safetensors.*HTML/);
  });

  it("are read lazily, and never beyond their end", async () => {
    const source = blobSource(new Blob([Uint8Array.of(1, 2, 3, 4)]), "it");
    assert.deepEqual([...(await source.read(1, 2))], [2, 3]);
    await failsWith(source.read(3, 2), "WEIGHTS_TRUNCATED");
    const gone = {
      size: 4,
      slice: () => ({ arrayBuffer: () => Promise.reject(new Error("NotReadable")) }),
    };
    await failsWith(blobSource(gone as never, "it").read(0, 1), "WEIGHTS_TRUNCATED", /any more/);
  });
});
