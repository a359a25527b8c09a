import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import { readFile } from "node:fs/promises";
import type { DiffusionError } from "../../engine/errors.ts";
import {
  DTYPE_BITS,
  readSafetensors,
  type StoredDtype,
  writeSafetensors,
} from "../../engine/safetensors.ts";
import { failsWith, fileOf, memorySource } from "../support/byte-source.ts";

const FIXTURE = new URL("../fixtures/python.safetensors", import.meta.url);

const read = (bytes: Uint8Array) => readSafetensors(memorySource(bytes));
const entry = (dtype: string, shape: unknown, offsets: unknown) =>
  JSON.stringify({ dtype, shape, data_offsets: offsets });
const f32 = (begin: number, end: number) => entry("F32", [(end - begin) / 4], [begin, end]);

describe("safetensors written by Python", () => {
  it("gives names, dtypes, shapes and metadata", async () => {
    const { tensors, metadata } = await read(await readFile(FIXTURE));
    const found = [...tensors.values()].map((t) => [t.name, t.dtype, t.shape]);
    assert.deepEqual(found.sort(), [
      ["brain", "BF16", [3]],
      ["empty", "F32", [0, 4]],
      ["flag", "BOOL", [3]],
      ["float", "F32", [2, 3]],
      ["half", "F16", [1, 3]],
      ["ids", "I64", [1, 3]],
      ['naïve ☃ "quoted"', "U8", [1]],
      ["scale", "F32", []],
    ]);
    assert.deepEqual([...metadata], [["format", "pt"]]);
  });

  it("gives each tensor's bytes, whole and in part", async () => {
    const { tensors } = await read(await readFile(FIXTURE));
    const float = await tensors.get("float")!.read(0, 24);
    assert.deepEqual(
      [...new Float32Array(float.buffer)],
      [0, 1, 2, 3, 4, 5].map((x) => Math.fround(x / 3)),
    );
    const half = await tensors.get("half")!.read(2, 4);
    assert.deepEqual([...new Uint16Array(half.buffer)], [0xc000, 0x7bff]);
    const brain = await tensors.get("brain")!.read(0, 4);
    assert.deepEqual([...new Uint16Array(brain.buffer)], [0x3f80, 0x4049]);
  });

  it("refuses a read beyond the tensor, though the file goes on", async () => {
    const { tensors } = await read(await readFile(FIXTURE));
    const float = tensors.get("float")!;
    for (const [offset, length] of [
      [20, 8],
      [-4, 4],
      [0, -1],
      [Number.NaN, 1],
    ] as const) {
      await failsWith(float.read(offset, length), "INTERNAL", /float/);
    }
  });

  it("is written by us with the same bytes", async () => {
    const bytes = await readFile(FIXTURE);
    const { tensors, metadata } = await read(bytes);
    const copies = new Map();
    for (const tensor of tensors.values()) {
      copies.set(tensor.name, { ...tensor, data: await tensor.read(0, tensor.byteLength) });
    }
    assert.deepEqual(writeSafetensors(copies, metadata), new Uint8Array(bytes));
  });
});

describe("safetensors files that are legal and odd", () => {
  it("reads every dtype of the format", async () => {
    for (const [dtype, bits] of Object.entries(DTYPE_BITS)) {
      const file = fileOf(`{"x":${entry(dtype, [8, 3], [0, bits * 3])}}`, bits * 3);
      const { tensors } = await read(file);
      assert.equal(tensors.get("x")?.dtype, dtype);
      assert.equal(tensors.get("x")?.byteLength, bits * 3);
    }
  });

  it("reads no tensors, out-of-order entries, empty tensors and trailing spaces", async () => {
    assert.equal((await read(fileOf("{}"))).tensors.size, 0);
    const empty = entry("F32", [0], [4, 4]);
    const file = fileOf(`{"b":${f32(4, 8)},"e":${empty},"a":${f32(0, 4)}}   \n`, 8);
    assert.deepEqual([...(await read(file)).tensors.keys()].sort(), ["a", "b", "e"]);
  });

  it("reads data that is not aligned to anything", async () => {
    const file = fileOf(`{"x":${f32(0, 4)}}  `.padEnd(67), 4);
    file.set([0, 0, 0x80, 0x3f], file.length - 4);
    const bytes = await (await read(file)).tensors.get("x")!.read(0, 4);
    assert.equal(new Float32Array(bytes.slice().buffer)[0], 1);
  });

  it("keeps a tensor called __proto__ a tensor", async () => {
    const { tensors } = await read(fileOf(`{"__proto__":${f32(0, 4)}}`, 4));
    assert.deepEqual([...tensors.keys()], ["__proto__"]);
    assert.equal(({} as { dtype?: string }).dtype, undefined);
    const [tensor] = tensors.values();
    const data = await tensor!.read(0, 4);
    const copy = writeSafetensors(new Map([["__proto__", { dtype: "F32", shape: [1], data }]]));
    assert.deepEqual([...(await read(copy)).tensors.keys()], ["__proto__"]);
  });

  it("skips fields that it does not know, as the Rust crate does", async () => {
    const file = fileOf(
      '{"x":{"note":[1.5e3,{"a":null}],"dtype":"U8","shape":[],"data_offsets":[0,1]}}',
      1,
    );
    assert.deepEqual((await read(file)).tensors.get("x")?.shape, []);
  });
});

describe("safetensors headers that are refused", () => {
  const faults: [what: string, file: Uint8Array, message: RegExp][] = [
    ["an empty file", new Uint8Array(0), /0 bytes/],
    ["7 bytes", new Uint8Array(7), /7 bytes/],
    ["a header of 0 bytes", fileOf("", 4), /header of 0 bytes/],
    ["a header above 100 MB", lengthOnly(100_000_001n), /100000001/],
    ["a header of 2^63 bytes", lengthOnly(1n << 63n), /at most 100000000/],
    ["a header longer than the file", lengthOnly(1000n), /1000 bytes, but the file has 20/],
    ["a leading space", fileOf(" {}"), /byte 8/],
    ["a byte order mark", fileOf("\ufeff{}"), /byte 8/],
    ["an array", fileOf("[]"), /byte 8/],
    ["bytes that are not UTF-8", fileOf(new Uint8Array([0x7b, 0x22, 0xff, 0x22, 0x7d])), /UTF-8/],
    ["JSON that stops", fileOf('{"x":'), /expected/],
    ["a string that stops", fileOf('{"x'), /not closed/],
    ["a trailing comma", fileOf('{"__metadata__":{"a":"b",}}'), /expected/],
    ["text after the object", fileOf("{} {}"), /closing brace/],
    ["an unknown escape", fileOf('{"\\x":1}'), /escape/],
    ["a lone surrogate", fileOf('{"\\ud800":1}'), /escape/],
    ["a raw line feed in a string", fileOf('{"a\n":1}'), /not closed/],
    ["a tensor that is a number", fileOf('{"x":1}'), /expected/],
    ["a tensor without offsets", fileOf('{"x":{"dtype":"F32","shape":[]}}'), /lacks/],
    ["a size that is a string", fileOf('{"x":{"shape":["4"]}}'), /number/],
    ["a tensor listed twice", fileOf(`{"x":${f32(0, 4)},"x":${f32(4, 8)}}`, 8), /"x" stands twice/],
    [
      "a tensor listed twice, once escaped",
      fileOf(`{"x":${f32(0, 4)},"\\u0078":${f32(4, 8)}}`, 8),
      /twice/,
    ],
    ["a dtype listed twice", fileOf('{"x":{"dtype":"F16","dtype":"F32"}}'), /"dtype" stands twice/],
    ["a metadata key listed twice", fileOf('{"__metadata__":{"a":"","a":""}}'), /twice/],
    ["metadata listed twice", fileOf('{"__metadata__":{},"__metadata__":{}}'), /twice/],
    ["a key twice inside an unknown field", fileOf('{"x":{"y":{"a":1,"a":1}}}'), /twice/],
    ["metadata that is a number", fileOf('{"__metadata__":{"a":1}}'), /strings only/],
    ["metadata that is null", fileOf('{"__metadata__":null}'), /expected/],
    ["nesting that would exhaust the stack", fileOf(`{"x":{"y":${"[".repeat(1e6)}`), /nested/],
  ];
  for (const [what, file, message] of faults) {
    it(`${what}: WEIGHTS_HEADER`, () => failsWith(read(file), "WEIGHTS_HEADER", message));
  }
});

describe("safetensors layouts that are refused", () => {
  const one = (dtype: string, shape: unknown, offsets: unknown, bytes = 8) =>
    fileOf(`{"x":${entry(dtype, shape, offsets)}}`, bytes);
  const literal = (size: string) =>
    fileOf(`{"x":{"dtype":"F32","shape":[${size}],"data_offsets":[0,8]}}`, 8);
  const faults: [what: string, file: Uint8Array, message: RegExp][] = [
    ["a hole before the first tensor", one("F32", [1], [4, 8]), /"x".*hole/],
    ["a hole between two tensors", fileOf(`{"a":${f32(0, 4)},"b":${f32(8, 12)}}`, 12), /"b".*hole/],
    ["an overlap", fileOf(`{"a":${f32(0, 8)},"b":${f32(4, 8)}}`, 8), /"b".*overlaps/],
    ["two names for the same bytes", fileOf(`{"a":${f32(0, 8)},"b":${f32(0, 8)}}`, 8), /overlaps/],
    [
      "an empty tensor inside another",
      fileOf(`{"a":${f32(0, 8)},"b":${f32(4, 4)}}`, 8),
      /overlaps/,
    ],
    ["an end before the begin", one("F32", [1], [8, 4]), /before it begins/],
    ["a size that is wrong for dtype and shape", one("F16", [2], [0, 8]), /8 bytes.*takes 4/],
    ["bytes after the last tensor", one("F32", [2], [0, 8], 9), /1 bytes follow/],
    ["bytes with no tensor", fileOf("{}", 1), /1 bytes follow/],
    ["a product above 2^53", one("F32", [2 ** 40, 2 ** 40], [0, 8]), /below 2\^53/],
    ["a product above 2^53 that a 0 hides", one("F32", [2 ** 40, 2 ** 40, 0], [0, 0], 0), /2\^53/],
    ["a negative size", literal("-2"), /size/],
    ["a negative zero", literal("-0"), /size/],
    ["a size with a fraction", literal("2.0"), /size/],
    ["a size with an exponent", literal("2e0"), /size/],
    ["a size of 2^53 + 1", literal("9007199254740993"), /size/],
    ["an offset that is negative", one("F32", [2], [-8, 0]), /offset/],
    ["three offsets", one("F32", [2], [0, 4, 8]), /3 data_offsets/],
    ["elements that end inside a byte", one("F4", [3], [0, 1]), /whole number of bytes/],
    ["6-bit elements that end inside a byte", one("F6_E3M2", [2], [0, 1]), /whole number/],
  ];
  for (const [what, file, message] of faults) {
    it(`${what}: WEIGHTS_LAYOUT`, () => failsWith(read(file), "WEIGHTS_LAYOUT", message));
  }

  it("a file cut short: WEIGHTS_TRUNCATED with both sizes", async () => {
    const whole = await readFile(FIXTURE);
    const message = new RegExp(`${whole.length - 1} of the ${whole.length} bytes`);
    await failsWith(read(whole.subarray(0, -1)), "WEIGHTS_TRUNCATED", message);
  });

  it("an unknown dtype: WEIGHTS_DTYPE with the known ones", async () => {
    await failsWith(read(one("F12", [2], [0, 3])), "WEIGHTS_DTYPE", /"x".*"F12".*BF16/);
    await failsWith(read(one("toString", [2], [0, 3])), "WEIGHTS_DTYPE");
  });
});

describe("other files given as safetensors", () => {
  const text = (s: string) => new TextEncoder().encode(s);
  const bytes = (...head: number[]) => Uint8Array.from([...head, ...Array(64).fill(0)]);
  const kinds: [what: string, file: Uint8Array, message: RegExp][] = [
    [
      "a Git LFS pointer",
      text("version https://git-lfs.github.com/spec/v1\noid sha256:0\n"),
      /LFS/,
    ],
    ["an HTML page", text("\n<!DOCTYPE html><html>Not found</html>"), /HTML/],
    ["a short HTML page", text("<html>"), /HTML/],
    ["a zip checkpoint", bytes(0x50, 0x4b, 3, 4, 0, 0, 8, 8), /zip.*PyTorch/],
    ["a zip whose length field would be plausible", bytes(0x50, 0x4b, 3, 4), /zip/],
    ["a pickle", bytes(0x80, 2, 0x7d, 0x71, 0, 0x28, 0x58, 0x0a), /pickle/],
    ["gzip data", bytes(0x1f, 0x8b, 8, 0), /gzip/],
    ["a GGUF file", bytes(0x47, 0x47, 0x55, 0x46, 3), /GGUF/],
    ["a JSON index", text('{"weight_map": {}}'), /JSON/],
  ];
  for (const [what, file, message] of kinds) {
    it(`${what}: WEIGHTS_FORMAT`, () => failsWith(read(file), "WEIGHTS_FORMAT", message));
  }

  it("the hint for a pickle names a script that is there, and that opens nothing unsafely", async () => {
    const fault: DiffusionError = await read(bytes(0x80, 2, 0x7d)).catch((error) => error);
    const [script] = /tools\/\S+\.py/.exec(fault.hint ?? "") ?? assert.fail(fault.hint);
    const code = readFileSync(new URL(`../../${script}`, import.meta.url), "utf8");
    assert.match(code, /torch\.load\([^)]*weights_only=True\)/);
    assert.doesNotMatch(code, /weights_only=False|pickle\.load/);
  });
});

describe("writeSafetensors", () => {
  it("pads the header to 8 bytes and puts wide dtypes first", async () => {
    const data = (n: number) => new Uint8Array(n).fill(n);
    const file = writeSafetensors(
      new Map([
        ["half", { dtype: "F16" as StoredDtype, shape: [3], data: data(6) }],
        ["float", { dtype: "F32" as StoredDtype, shape: [1], data: data(4) }],
      ]),
    );
    assert.equal(new DataView(file.buffer).getUint32(0, true) % 8, 0);
    const { tensors } = await read(file);
    assert.deepEqual([...tensors.keys()], ["float", "half"]);
    assert.deepEqual(await tensors.get("half")!.read(0, 6), data(6));
  });

  it("refuses data of another size than the shape, and the reserved name", () => {
    const write = (name: string, bytes: number) => () =>
      writeSafetensors(
        new Map([[name, { dtype: "F32", shape: [2], data: new Uint8Array(bytes) }]]),
      );
    assert.throws(write("x", 4), { code: "WEIGHTS_LAYOUT" });
    assert.throws(write("__metadata__", 8), { code: "WEIGHTS_LAYOUT" });
  });
});

/** 20 bytes of which the first 8 announce a header of that length. */
function lengthOnly(length: bigint): Uint8Array {
  const file = new Uint8Array(20);
  new DataView(file.buffer).setBigUint64(0, length, true);
  file[8] = 0x7b;
  return file;
}
