import assert from "node:assert/strict";
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { encodeHalf } from "../../../engine/dtype.ts";
import type { DiffusionError } from "../../../engine/errors.ts";
import { writeSafetensors } from "../../../engine/safetensors.ts";
import { decodePng } from "../../../model/image/decode-png.node.ts";
import { checkDepth } from "../../../model/image/depth.ts";
import { alphaOf, toRgb } from "../../../model/image/image.ts";
import { writeChunk } from "../../../model/image/png-chunks.node.ts";
import { readDepthFile, readImage, readImageFile } from "../../../model/image/read.node.ts";
import type { Sharp } from "../../../model/image/sharp.node.ts";
import { encodePng } from "../../../model/png.node.ts";
import { gradient } from "../../support/fake-pipeline.ts";
import { type Digest, digest } from "../../support/noise-image.ts";

interface PngCase {
  readonly name: string;
  readonly size: readonly [height: number, width: number];
  /** base64 */
  readonly file: string;
  readonly rgb: Digest;
  readonly alpha: Digest | null;
}

const { png: cases }: { png: PngCase[] } = JSON.parse(
  readFileSync(new URL("../../fixtures/images.json", import.meta.url), "utf8"),
);
const fileOf = (name: string) =>
  Buffer.from(cases.find((each) => each.name === name)?.file ?? assert.fail(name), "base64");

const SIGNATURE = Buffer.from([0x89, 0x50, 0x4e, 0x47, 0x0d, 0x0a, 0x1a, 0x0a]);

interface Made {
  width: number;
  height: number;
  depth?: number;
  colorType?: number;
  interlace?: number;
  pixels?: Buffer;
}

/** A PNG whose header says one thing and whose pixels may say another. */
function madeUp({ width, height, depth = 8, colorType = 2, interlace = 0, pixels }: Made): Buffer {
  const head = Buffer.alloc(13);
  head.writeUInt32BE(width, 0);
  head.writeUInt32BE(height, 4);
  head.set([depth, colorType, 0, 0, interlace], 8);
  const raw = pixels ?? deflateSync(Buffer.alloc(height * (1 + 3 * width)));
  return Buffer.concat([
    SIGNATURE,
    writeChunk("IHDR", head),
    writeChunk("IDAT", raw),
    writeChunk("IEND", Buffer.alloc(0)),
  ]);
}

const refuses = (code: string, bytes: Uint8Array, message = /./) =>
  assert.rejects(
    readImage(bytes, "x.png"),
    (e: DiffusionError) => e.code === code && message.test(e.message),
  );

describe("readImage", () => {
  for (const { name, size, file, rgb, alpha } of cases) {
    it(`reads what Pillow reads: ${name}`, () => {
      const image = decodePng(Buffer.from(file, "base64"));
      assert.deepEqual([image.height, image.width], size);
      assert.deepEqual(digest(toRgb(image).data), rgb);
      assert.equal(image.data.length, size[0] * size[1] * (alpha ? 4 : 3));
      if (alpha) assert.deepEqual(digest(alphaOf(image).data), alpha);
    });
  }

  it("reads what it writes, with text beside it or bytes after it", async () => {
    const picture = gradient(9, 5);
    const file = encodePng(picture, [{ keyword: "parameters", text: "🦀" }]);
    for (const bytes of [file, Buffer.concat([file, Buffer.from("more")])])
      assert.deepEqual(await readImage(bytes), {
        ...{ width: 9, height: 5 },
        data: toRgb(picture).data,
      });
  });

  it("reads the default picture of an animation", async () => {
    const file = fileOf("rgb-8");
    const at = file.indexOf("IDAT") - 4;
    const frame = Buffer.concat([Buffer.alloc(4), deflateSync(Buffer.alloc(300))]);
    const animated = Buffer.concat([
      file.subarray(0, at),
      writeChunk("acTL", Buffer.from([0, 0, 0, 2, 0, 0, 0, 0])),
      file.subarray(at, -12),
      writeChunk("fcTL", Buffer.alloc(26)),
      writeChunk("fdAT", frame),
      file.subarray(-12),
    ]);
    assert.deepEqual(await readImage(animated), await readImage(file));
  });

  it("refuses other files by what they are, whatever their name", async () => {
    const text = (s: string) => Buffer.from(s, "latin1");
    await refuses("IMAGE_FORMAT", text("BM...."), /x\.png is a BMP/);
    await refuses("IMAGE_FORMAT", text("<!DOCTYPE html>"), /an HTML page/);
    await refuses("IMAGE_FORMAT", text("version https://git-lfs.github.com/spec/v1"), /LFS/);
    await refuses("IMAGE_FORMAT", text("something else"), /not a PNG/);
    await refuses("IMAGE_TRUNCATED", Buffer.alloc(0));
  });

  it("refuses sizes before it allocates them", async () => {
    await refuses("IMAGE_SIZE", madeUp({ width: 60000, height: 60000, pixels: deflateSync("x") }));
    await refuses("IMAGE_SIZE", madeUp({ width: 4097, height: 4096, pixels: deflateSync("x") }));
    await refuses("IMAGE_SIZE", madeUp({ width: 0, height: 4 }));
    await refuses("IMAGE_SIZE", madeUp({ width: 4, height: 0 }));
  });

  it("unfolds no more than the size says: a bomb, interlaced or not, is refused", async () => {
    const pixels = deflateSync(Buffer.alloc(2 ** 26));
    for (const interlace of [0, 1])
      await refuses(
        "IMAGE_CORRUPT",
        madeUp({ width: 4, height: 4, interlace, pixels }),
        /unfold to more than/,
      );
  });

  it("refuses pixels that are too few, cut off or no deflate stream", async () => {
    const size = { width: 40, height: 40 };
    await refuses("IMAGE_TRUNCATED", madeUp({ ...size, pixels: deflateSync(Buffer.alloc(500)) }));
    const whole = deflateSync(Buffer.from(gradient(40, 31).data.subarray(0, 40 * 121)));
    await refuses("IMAGE_TRUNCATED", madeUp({ ...size, pixels: whole.subarray(0, 900) }));
    await refuses("IMAGE_CORRUPT", madeUp({ ...size, pixels: Buffer.from("not deflate at all") }));
    await refuses("IMAGE_TRUNCATED", madeUp({ ...size, pixels: Buffer.alloc(0) }));
  });

  it("refuses headers that no PNG has", async () => {
    const size = { width: 1, height: 1 };
    for (const wrong of [{ depth: 3 }, { depth: 4 }, { colorType: 5 }, { interlace: 2 }])
      await refuses("IMAGE_CORRUPT", madeUp({ ...size, ...wrong }), /no PNG has those/);
    await refuses(
      "IMAGE_CORRUPT",
      madeUp({ ...size, colorType: 3, pixels: deflateSync(Buffer.alloc(2)) }),
      /palette/,
    );
  });

  it("refuses a file that is cut anywhere, and crashes on no byte changed", async () => {
    const file = fileOf("rgba-8-interlaced");
    for (let length = 0; length < file.length; length++)
      await refuses("IMAGE_TRUNCATED", file.subarray(0, length));
    await fc.assert(
      fc.asyncProperty(
        fc.constantFrom("palette-4", "grey-16-interlaced", "filters"),
        fc.nat(),
        fc.nat(255),
        async (name, at, value) => {
          const changed = Buffer.from(fileOf(name));
          changed[at % changed.length] = value;
          try {
            await readImage(changed);
          } catch (error) {
            assert.match((error as DiffusionError).code, /^IMAGE_/);
          }
        },
      ),
    );
  });

  it("names what is missing where a JPEG or WebP comes without sharp", async () => {
    for (const [bytes, kind] of [
      ["\xff\xd8\xff\xe0..JFIF", "a JPEG"],
      ["RIFF....WEBPVP8 ", "a WebP"],
    ] as const)
      await assert.rejects(
        readImage(Buffer.from(bytes, "latin1"), "photo.png", async () => undefined),
        (e: DiffusionError) => {
          assert.equal(e.code, "IMAGE_FORMAT");
          assert.equal(e.message, `photo.png is ${kind}; without sharp only PNG is read`);
          assert.match(e.hint ?? "", /npm i sharp/);
          return true;
        },
      );
  });

  it("lets sharp turn a JPEG upright, bounds it, and passes on what it says", async () => {
    const calls: string[] = [];
    const sharp =
      (fault?: string): Sharp =>
      (_, { limitInputPixels }) => {
        calls.push(`limit ${limitInputPixels}`);
        const step = (name: string) => {
          calls.push(name);
          return image;
        };
        const image = {
          rotate: () => step("rotate"),
          toColourspace: step,
          raw: () => step("raw"),
          async toBuffer() {
            if (fault) throw new Error(fault);
            return { data: Uint8Array.of(1, 2, 3), info: { width: 1, height: 1 } };
          },
        };
        return image;
      };
    const jpeg = Buffer.from("\xff\xd8\xff\xe0", "latin1");
    const image = await readImage(jpeg, "a.jpg", async () => sharp());
    assert.deepEqual(image, { width: 1, height: 1, data: Uint8Array.of(1, 2, 3) });
    assert.deepEqual(calls, ["limit 16777216", "rotate", "srgb", "raw"]);
    for (const [fault, code] of [
      ["Input image exceeds pixel limit", "IMAGE_SIZE"],
      ["VipsJpeg: premature end", "IMAGE_CORRUPT"],
    ] as const)
      await assert.rejects(
        readImage(jpeg, "a.jpg", async () => sharp(fault)),
        (e: DiffusionError) => e.code === code,
      );
  });
});

describe("picture and depth files", () => {
  let folder = "";
  before(() => {
    folder = mkdtempSync(join(tmpdir(), "image-test-"));
  });
  after(() => rmSync(folder, { recursive: true, force: true }));
  const write = (name: string, bytes: Uint8Array) => {
    writeFileSync(join(folder, name), bytes);
    return join(folder, name);
  };
  const fails = (run: Promise<unknown>, code: string) =>
    assert.rejects(run, (e: DiffusionError) => e.code === code);

  it("are read from disk, or refused by what is there", async () => {
    assert.equal((await readImageFile(write("a.png", fileOf("rgb-8")))).width, 11);
    await fails(readImageFile(join(folder, "none.png")), "IMAGE_MISSING");
    await fails(readImageFile(folder), "IMAGE_MISSING");
    await fails(readImageFile("a\0b"), "PATH");
  });

  it("a grey PNG is a depth map with all of its bits, colours by their grey", async () => {
    const deep = await readDepthFile(write("d16.png", fileOf("grey-16")));
    const flat = decodePng(fileOf("grey-16"));
    assert.deepEqual([deep.height, deep.width], [7, 11]);
    for (const [i, value] of deep.data.entries()) {
      assert.equal(Math.floor((value * 65535 + 0.5) / 256), flat.data[3 * i]);
    }
    assert.ok(new Set(deep.data).size > new Set(flat.data).size);
    const eight = await readDepthFile(write("d8.png", fileOf("grey-8")));
    assert.equal(eight.data[0], Math.fround(10 / 255));
    assert.equal((await readDepthFile(write("rgb.png", fileOf("rgb-8")))).data.length, 77);
  });

  it("a safetensors file is one by its tensor depth, f32 or f16", async () => {
    const values = Float32Array.of(0, 1, -2, 0.5, 65504, 2 ** -24);
    const bytesOf = (array: Float32Array | Uint16Array) => new Uint8Array(array.buffer);
    const file = (dtype: "F32" | "F16" | "I32", shape: number[], name = "depth") => {
      const data = bytesOf(dtype === "F16" ? encodeHalf(values) : values);
      return write("d.safetensors", writeSafetensors(new Map([[name, { dtype, shape, data }]])));
    };
    for (const [dtype, shape] of [
      ["F32", [1, 2, 3]],
      ["F16", [2, 3]],
    ] as const)
      assert.deepEqual(await readDepthFile(file(dtype, [...shape])), {
        ...{ width: 3, height: 2, data: values },
      });
    await fails(readDepthFile(file("F32", [2, 3], "other")), "IMAGE_FORMAT");
    await fails(readDepthFile(file("I32", [2, 3])), "IMAGE_FORMAT");
    await fails(readDepthFile(file("F32", [2, 3, 1])), "IMAGE_FORMAT");
    await fails(readDepthFile(file("F32", [6])), "IMAGE_FORMAT");
    await fails(readDepthFile(write("h.safetensors", Buffer.from("<html>"))), "WEIGHTS_FORMAT");
  });

  it("a depth map without depth is zeros, and values that are none are the farthest", () => {
    const map = (...data: number[]) => ({ width: 2, height: 2, data: Float32Array.from(data) });
    assert.deepEqual(checkDepth(map(1, 2, 3, 4)), { depth: map(1, 2, 3, 4), warnings: [] });
    const flat = checkDepth(map(5, 5, 5, 5));
    assert.deepEqual(flat.depth, map(0, 0, 0, 0));
    assert.match(flat.warnings.join(), /one depth everywhere/);
    const holes = checkDepth(map(Number.NaN, 2, 3, Number.POSITIVE_INFINITY));
    assert.deepEqual(holes.depth, map(2, 2, 3, 2));
    assert.match(holes.warnings.join(), /2 values that are not finite/);
    const nothing = checkDepth(map(Number.NaN, Number.NaN, Number.NaN, Number.NaN));
    assert.deepEqual(nothing.depth, map(0, 0, 0, 0));
    assert.throws(() => checkDepth({ ...map(1), width: 2 }), { code: "IMAGE_SIZE" });
  });
});
