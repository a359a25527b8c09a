import assert from "node:assert/strict";
import { chmod, mkdtemp, open, rm, truncate, writeFile } from "node:fs/promises";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { MAX_READ_BYTES, openFile } from "../../../engine/platform/file.node.ts";
import { failsWith } from "../../support/byte-source.ts";

describe("openFile", () => {
  let folder = "";
  before(async () => {
    folder = await mkdtemp(join(tmpdir(), "openfile-"));
  });
  after(() => rm(folder, { recursive: true }));

  const sparse = async (name: string, size: number, marks: Record<number, number[]>) => {
    const path = join(folder, name);
    const handle = await open(path, "w");
    await handle.truncate(size);
    for (const [at, bytes] of Object.entries(marks)) {
      await handle.write(Uint8Array.from(bytes), 0, bytes.length, Number(at));
    }
    await handle.close();
    return path;
  };

  it("reads exactly the bytes asked for", async () => {
    const path = join(folder, "small");
    await writeFile(path, Uint8Array.from([1, 2, 3, 4, 5]));
    const file = await openFile(path);
    assert.equal(file.size, 5);
    assert.deepEqual([...(await file.read(1, 3))], [2, 3, 4]);
    assert.deepEqual([...(await file.read(5, 0))], []);
    await file.close();
  });

  it("reads beyond 4 GiB", async () => {
    const size = 5 * 2 ** 30;
    const path = await sparse("large", size, { [2 ** 32 - 1]: [7, 8], [size - 2]: [9, 10] });
    const file = await openFile(path);
    assert.equal(file.size, size);
    assert.deepEqual([...(await file.read(2 ** 32 - 1, 2))], [7, 8]);
    assert.deepEqual([...(await file.read(size - 2, 2))], [9, 10]);
    await file.close();
  });

  it("joins the parts of a read above the largest single one", async () => {
    const size = MAX_READ_BYTES + 10;
    const path = await sparse("two-parts", size, { [MAX_READ_BYTES]: [1, 2, 3] });
    const file = await openFile(path);
    const bytes = await file.read(1, size - 1);
    assert.deepEqual([...bytes.subarray(MAX_READ_BYTES - 2, MAX_READ_BYTES + 3)], [0, 1, 2, 3, 0]);
    await file.close();
  });

  it("refuses to read beyond the end, before it allocates", async () => {
    const path = join(folder, "tiny");
    await writeFile(path, "12345678");
    const file = await openFile(path);
    await failsWith(file.read(4, 5), "WEIGHTS_TRUNCATED", /tiny.*\[4, 9\).*has 8/);
    await failsWith(file.read(0, 1e15), "WEIGHTS_TRUNCATED");
    await failsWith(file.read(-1, 1), "WEIGHTS_TRUNCATED");
    await truncate(path, 4);
    await failsWith(file.read(0, 8), "WEIGHTS_TRUNCATED", /has 4/);
    await file.close();
  });

  it("says what is wrong with a path that is no readable file", async () => {
    await failsWith(openFile(join(folder, "absent")), "WEIGHTS_MISSING", /absent does not exist/);
    await failsWith(openFile(folder), "WEIGHTS_MISSING", /is not a file/);
    const path = join(folder, "tiny", "below");
    await failsWith(openFile(path), "WEIGHTS_MISSING", /a part of its path is a file/);
    if (process.getuid?.() === 0) return; // root may read anything
    const closed = join(folder, "closed");
    await writeFile(closed, "");
    await chmod(closed, 0);
    await failsWith(openFile(closed), "WEIGHTS_MISSING", /may not be read/);
  });
});
