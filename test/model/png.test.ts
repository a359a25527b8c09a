import assert from "node:assert/strict";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { PNG } from "pngjs";
import type { DiffusionError } from "../../engine/errors.ts";
import { encodePng, readPng } from "../../model/png.node.ts";
import { validateRequest } from "../../model/request.ts";
import { KEYWORD, pictureTexts, recordOf } from "../../tools/metadata.ts";
import { fakeResult, gradient } from "../support/fake-pipeline.ts";

const resultFor = (request: object) =>
  fakeResult(
    validateRequest(
      { prompt: "", seed: 1, steps: 20, ...request },
      { width: 64, height: 64, scheduler: "euler" },
    ),
  );

describe("PNG", () => {
  it("gives the pixels back, opaque or not", () => {
    const opaque = gradient(37, 21);
    const clear = gradient(5, 3);
    clear.data[3] = 7;
    for (const image of [opaque, clear]) {
      const back = PNG.sync.read(encodePng(image, [{ keyword: "a", text: "b" }]));
      assert.deepEqual(new Uint8ClampedArray(back.data), image.data);
    }
    // Bytes 24 and 25: 8 bits, colour type 2 (RGB) for an opaque picture.
    assert.deepEqual([...encodePng(opaque).subarray(24, 26)], [8, 2]);
  });

  it("gives any text back, as Latin-1 where that is enough and as UTF-8 where not", () => {
    const image = gradient(8, 8);
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 300 }), (text) => {
        const { texts } = readPng(encodePng(image, [{ keyword: "k", text }]));
        assert.deepEqual(texts, [{ keyword: "k", text: text.replaceAll("\0", "").toWellFormed() }]);
      }),
    );
    assert.ok(encodePng(image, [{ keyword: "k", text: "café" }]).includes("tEXtk"));
    assert.ok(encodePng(image, [{ keyword: "k", text: "🦀" }]).includes("iTXtk"));
  });

  it("keeps a prompt exactly in our record, whatever it holds", () => {
    fc.assert(
      fc.property(fc.string({ unit: "binary", maxLength: 500 }), (prompt) => {
        const texts = pictureTexts(resultFor({ prompt }), 0, "1.2.3");
        const back = recordOf(readPng(encodePng(gradient(8, 8), texts)).texts);
        assert.equal((back as { request: { prompt: string } }).request.prompt, prompt);
      }),
    );
    const long = 'x,:\n"🦀'.repeat(500);
    const texts = pictureTexts(resultFor({ prompt: long }), 0, "1");
    assert.deepEqual(readPng(encodePng(gradient(8, 8), texts)).texts, texts);
  });

  it("refuses what is not a PNG, or not a whole one, wherever it is cut or changed", () => {
    const file = encodePng(gradient(16, 16), [{ keyword: "a", text: "b" }]);
    const fails = (bytes: Uint8Array) =>
      assert.throws(
        () => readPng(bytes),
        (e: DiffusionError) => /^IMAGE_(FORMAT|TRUNCATED|CORRUPT)$/.test(e.code),
      );
    for (let length = 0; length < file.length; length++) fails(file.subarray(0, length));
    const changed = Buffer.from(file);
    changed[40]! ^= 1;
    fails(changed);
    fails(Buffer.from("GIF89a, not a PNG"));
  });

  it("crashes on no input", () => {
    const file = encodePng(gradient(16, 16), [{ keyword: "a", text: "🦀" }]);
    fc.assert(
      fc.property(fc.nat(file.length - 1), fc.nat(255), (at, value) => {
        const changed = Buffer.from(file);
        changed[at] = value;
        try {
          readPng(changed);
        } catch (error) {
          assert.match((error as DiffusionError).code, /^IMAGE_/);
        }
      }),
    );
  });

  it("reads compressed texts of others, and leaves out one that unfolds without end", () => {
    const withChunk = (type: string, data: Buffer) => {
      const plain = encodePng(gradient(8, 8), [{ keyword: type, text: "x" }]);
      const at = plain.indexOf("tEXt") - 4;
      const head = encodeChunk(type, data);
      return Buffer.concat([
        plain.subarray(0, at),
        head,
        plain.subarray(at + 12 + type.length + 2),
      ]);
    };
    const ztxt = (text: string | Buffer) =>
      Buffer.concat([Buffer.from("Comment\0\0"), deflateSync(text)]);
    assert.deepEqual(readPng(withChunk("zTXt", ztxt("hello"))).texts, [
      { keyword: "Comment", text: "hello" },
    ]);
    assert.deepEqual(readPng(withChunk("zTXt", ztxt(Buffer.alloc(2 ** 24)))).texts, []);
  });
});

describe("metadata", () => {
  it("does not trust a record: foreign JSON is data, broken JSON is none", () => {
    assert.equal(recordOf([{ keyword: KEYWORD, text: "{" }]), undefined);
    assert.equal(recordOf([{ keyword: "other", text: "{}" }]), undefined);
    recordOf([{ keyword: KEYWORD, text: '{"__proto__":{"polluted":1}}' }]);
    assert.equal(({} as Record<string, unknown>).polluted, undefined);
  });
});

/** A chunk with its checksum, computed bit by bit: independent of what is tested. */
function encodeChunk(type: string, data: Buffer): Buffer {
  const body = Buffer.concat([Buffer.from(type), data]);
  const whole = Buffer.alloc(body.length + 8);
  whole.writeUInt32BE(data.length, 0);
  body.copy(whole, 4);
  whole.writeUInt32BE(crc(body), body.length + 4);
  return whole;
}

function crc(bytes: Buffer): number {
  let sum = ~0;
  for (const byte of bytes) {
    sum ^= byte;
    for (let bit = 0; bit < 8; bit++) sum = (sum >>> 1) ^ (sum & 1 ? 0xedb88320 : 0);
  }
  return ~sum >>> 0;
}
