import assert from "node:assert/strict";
import fc from "fast-check";
import { DiffusionError } from "../../engine/errors.ts";
import {
  DTYPE_BITS,
  readSafetensors,
  type StoredDtype,
  type TensorBytes,
  writeSafetensors,
} from "../../engine/safetensors.ts";
import { failsWith, fileOf, memorySource } from "../support/byte-source.ts";

const RUNS = { numRuns: 2000, seed: 20221124 };

/** Reads the file and every tensor in it; anything but a DiffusionError fails. */
async function readsOrRefuses(file: Uint8Array): Promise<boolean> {
  try {
    const { tensors } = await readSafetensors(memorySource(file));
    let bytes = 0;
    for (const tensor of tensors.values()) {
      bytes += (await tensor.read(0, tensor.byteLength)).length;
    }
    assert.ok(bytes <= file.length);
    return true;
  } catch (error) {
    assert.ok(error instanceof DiffusionError, String((error as Error).stack));
    assert.ok(error.message.length < 1000, "a message stays short");
    return false;
  }
}

const dtype = fc.constantFrom(...(Object.keys(DTYPE_BITS) as StoredDtype[]));
const tensor: fc.Arbitrary<TensorBytes> = fc
  .tuple(dtype, fc.array(fc.nat(3), { maxLength: 3 }))
  .map(([dtype, dims]) => {
    const shape = [...dims, 8];
    const bytes = (shape.reduce((a, b) => a * b, 1) * DTYPE_BITS[dtype]) / 8;
    return { dtype, shape, data: Uint8Array.from({ length: bytes }, (_, i) => i % 251) };
  });
const name = fc.string({ unit: "binary" }).filter((s) => s !== "__metadata__" && s.isWellFormed());
const file = fc
  .tuple(fc.array(fc.tuple(name, tensor), { maxLength: 5 }), fc.dictionary(name, name))
  .map(([tensors, metadata]) =>
    writeSafetensors(new Map(tensors), new Map(Object.entries(metadata))),
  );

describe("the safetensors reader, on anything", () => {
  it("gives back what was written", () =>
    fc.assert(
      fc.asyncProperty(fc.array(fc.tuple(name, tensor), { maxLength: 5 }), async (list) => {
        const written = new Map(list);
        const { tensors } = await readSafetensors(memorySource(writeSafetensors(written)));
        assert.equal(tensors.size, written.size);
        for (const [key, { dtype, shape, data }] of written) {
          const found = tensors.get(key)!;
          assert.deepEqual([found.dtype, found.shape], [dtype, shape]);
          assert.deepEqual(await found.read(0, found.byteLength), data);
        }
      }),
      { ...RUNS, numRuns: 300 },
    ));

  it("survives random bytes", () =>
    fc.assert(
      fc.asyncProperty(fc.uint8Array({ maxLength: 600 }), async (bytes) => {
        await readsOrRefuses(bytes);
      }),
      RUNS,
    ));

  it("survives random bytes as a header", () =>
    fc.assert(
      fc.asyncProperty(fc.string({ unit: "binary" }), async (text) => {
        await readsOrRefuses(fileOf(`{${text}}`, 16));
      }),
      RUNS,
    ));

  it("survives random JSON as a tensor", () =>
    fc.assert(
      fc.asyncProperty(fc.json({ noUnicodeString: false }), async (json) => {
        await readsOrRefuses(fileOf(`{"x":${json}}`, 16));
      }),
      RUNS,
    ));

  it("survives valid files with bytes changed, cut off or put in", async () => {
    const edit = fc.record({
      at: fc.nat(1000),
      remove: fc.nat(8),
      insert: fc.uint8Array({ maxLength: 8 }),
    });
    let accepted = 0;
    await fc.assert(
      fc.asyncProperty(file, fc.array(edit, { maxLength: 3 }), async (bytes, edits) => {
        const mutated = [...bytes];
        for (const { at, remove, insert } of edits) {
          mutated.splice(at % (mutated.length + 1), remove, ...insert);
        }
        if (await readsOrRefuses(Uint8Array.from(mutated))) accepted += 1;
      }),
      RUNS,
    );
    assert.ok(accepted > 100 && accepted < RUNS.numRuns, `${accepted} were accepted`);
  });

  it("accepts no header that JSON.parse would not", () =>
    fc.assert(
      fc.asyncProperty(file, fc.nat(300), fc.nat(127), async (bytes, at, value) => {
        const mutated = bytes.slice();
        mutated[8 + (at % (bytes.length - 8))] = value;
        if (!(await readsOrRefuses(mutated))) return;
        const length = Number(new DataView(mutated.buffer).getBigUint64(0, true));
        JSON.parse(new TextDecoder().decode(mutated.subarray(8, 8 + length)));
      }),
      RUNS,
    ));
});

describe("safetensors headers made to be slow", () => {
  const timed = async (bytes: Uint8Array): Promise<number> => {
    const start = performance.now();
    await readsOrRefuses(bytes);
    return performance.now() - start;
  };
  // A second on an idle machine; the margin is for one that is shared.
  const LIMIT_MS = 5000;

  it("a million tensors are refused in about a second", async () => {
    const members = Array.from(
      { length: 1e6 },
      (_, i) => `"t${i}":{"dtype":"U8","shape":[],"data_offsets":[${i},${i + 1}]}`,
    );
    const bytes = fileOf(`{${members.join(",")}}`, 1e6);
    const start = performance.now();
    const reading = readSafetensors(memorySource(bytes));
    await failsWith(reading, "WEIGHTS_HEADER", /more than 1000000 items/);
    assert.ok(performance.now() - start < LIMIT_MS);
  });

  it("100,000 tensors are read", async () => {
    const members = Array.from(
      { length: 1e5 },
      (_, i) => `"t${i}":{"dtype":"U8","shape":[],"data_offsets":[${i},${i + 1}]}`,
    );
    const { tensors } = await readSafetensors(memorySource(fileOf(`{${members.join(",")}}`, 1e5)));
    assert.equal(tensors.size, 1e5);
  });

  it("a name of 10 MB is read, and cut in messages", async () => {
    const long = "n".repeat(10e6);
    const good = fileOf(`{"${long}":{"dtype":"U8","shape":[],"data_offsets":[0,1]}}`, 1);
    assert.ok((await timed(good)) < LIMIT_MS);
    assert.equal(await readsOrRefuses(good), true);
    assert.equal(await readsOrRefuses(good.subarray(0, -1)), false);
    assert.equal(
      await readsOrRefuses(
        fileOf(`{"${long}":{"dtype":"${long}","shape":[],"data_offsets":[0,1]}}`, 1),
      ),
      false,
    );
  });

  it("a shape of 10 million sizes, 10 MB of space and 10 MB of escapes are no trouble", async () => {
    assert.ok((await timed(fileOf(`{"x":{"shape":[${"1,".repeat(1e7)}1]}}`))) < LIMIT_MS);
    assert.ok((await timed(fileOf(`{${" ".repeat(1e7)}}`))) < LIMIT_MS);
    assert.ok((await timed(fileOf(`{"${"\\u0041".repeat(1.6e6)}":1}`))) < LIMIT_MS);
    assert.ok((await timed(fileOf(`{"x":{"shape":[${"1".repeat(1e7)}]}}`))) < LIMIT_MS);
  });
});
