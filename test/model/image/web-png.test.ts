/** PNG with the web platform alone: the same pictures and texts as with pngjs and zlib. */
import assert from "node:assert/strict";
import { deflateSync } from "node:zlib";
import fc from "fast-check";
import { PNG } from "pngjs";
import {
  decodePng as nodePng,
  decodeSamples as nodeSamples,
} from "../../../model/image/decode-png.node.ts";
import { decodePng, decodeSamples } from "../../../model/image/decode-png.ts";
import { encodePng, readPng } from "../../../model/image/encode-png.ts";
import { SIGNATURE, writeChunk } from "../../../model/image/png-chunks.ts";
import { ADAM7, SAMPLES } from "../../../model/image/png-samples.ts";
import * as node from "../../../model/png.node.ts";

type Kind = readonly [colorType: 0 | 2 | 3 | 4 | 6, depth: number];
const KINDS: readonly Kind[] = [
  ...([1, 2, 4, 8, 16] as const).map((depth) => [0, depth] as const),
  ...([1, 2, 4, 8] as const).map((depth) => [3, depth] as const),
  ...([2, 4, 6] as const).flatMap((type) => [8, 16].map((depth) => [type, depth] as const)),
];

/** A PNG of random bytes with random filters. */
function randomPng(
  [colorType, depth]: Kind,
  width: number,
  height: number,
  interlaced: boolean,
  seed: number,
) {
  let state = seed;
  const byte = () => {
    state = (state * 1103515245 + 12345) % 2 ** 31;
    return (state >> 16) & 255;
  };
  const header = Buffer.alloc(13);
  header.writeUInt32BE(width, 0);
  header.writeUInt32BE(height, 4);
  header.set([depth, colorType, 0, 0, interlaced ? 1 : 0], 8);
  const lines: number[] = [];
  for (const [x, y, dx, dy] of interlaced ? ADAM7 : [[0, 0, 1, 1] as const]) {
    const [columns, rows] = [Math.ceil((width - x) / dx), Math.ceil((height - y) / dy)];
    if (columns <= 0) continue;
    const stride = Math.ceil((columns * depth * SAMPLES[colorType]) / 8);
    for (let row = 0; row < rows; row++)
      lines.push(byte() % 5, ...Array.from({ length: stride }, byte));
  }
  const palette = Buffer.from(Array.from({ length: 3 * 2 ** Math.min(depth, 8) }, byte));
  const clear = colorType === 3 ? Buffer.of(0, 128) : Buffer.alloc(colorType === 0 ? 2 : 6);
  const extra = [
    ...(colorType === 3 ? [writeChunk("PLTE", palette)] : []),
    ...(seed % 2 && colorType !== 4 && colorType !== 6 ? [writeChunk("tRNS", clear)] : []),
  ];
  const data = writeChunk("IDAT", deflateSync(Buffer.from(lines)));
  return Buffer.concat([
    SIGNATURE,
    writeChunk("IHDR", header),
    ...extra,
    data,
    writeChunk("IEND", Buffer.alloc(0)),
  ]);
}

describe("PNG with the web platform alone", () => {
  for (const kind of KINDS) {
    it(`reads color type ${kind[0]} at ${kind[1]} bits as Node does, interlaced too`, async () => {
      for (const [seed, [width, height]] of [
        [7, 5],
        [1, 1],
        [16, 9],
        [3, 20],
      ].entries()) {
        for (const interlaced of [false, true]) {
          const png = randomPng(kind, width!, height!, interlaced, seed + 1);
          const [ours, theirs] = [await decodePng(png), nodePng(png)];
          assert.deepEqual(Buffer.from(ours.data), Buffer.from(theirs.data));
          const samples = [await decodeSamples(png, "it"), nodeSamples(png, "it")];
          assert.deepEqual([...samples[0]!.data], [...samples[1]!.data]);
        }
      }
    });
  }

  it("writes pictures and texts that pngjs and we in Node read", async () => {
    await fc.assert(
      fc.asyncProperty(
        fc.nat(12),
        fc.nat(12),
        fc.boolean(),
        fc.string({ unit: "binary" }),
        async (w, h, opaque, text) => {
          const [width, height] = [w + 1, h + 1];
          const data = Uint8ClampedArray.from(
            { length: 4 * width * height },
            (_, i) => (i * 37) % 256,
          );
          if (opaque) for (let i = 3; i < data.length; i += 4) data[i] = 255;
          const texts = [{ keyword: "k", text }];
          const png = await encodePng({ width, height, data }, texts);
          assert.deepEqual(PNG.sync.read(Buffer.from(png)).data, Buffer.from(data));
          assert.deepEqual(node.readPng(png), await readPng(png));
          assert.equal(
            (await readPng(png)).texts[0]?.text,
            text.replaceAll("\0", "").toWellFormed(),
          );
        },
      ),
      { numRuns: 15 },
    );
  });

  it("reads Node's texts, compressed ones too, and leaves out what unfolds without end", async () => {
    const image = { width: 2, height: 2, data: new Uint8ClampedArray(16).fill(255) };
    const png = node.encodePng(image, [{ keyword: "a", text: "café 🦀" }]);
    const chunk = (text: Buffer) =>
      writeChunk("zTXt", Buffer.concat([Buffer.from("z\0\0"), deflateSync(text)]));
    for (const text of [Buffer.from("hello"), Buffer.alloc(2 ** 24)]) {
      const both = Buffer.concat([png.subarray(0, 33), chunk(text), png.subarray(33)]);
      assert.deepEqual(await readPng(both), node.readPng(both));
    }
  });

  it("refuses what is cut off, damaged, or unfolds to more than its size", async () => {
    const png = randomPng([2, 8], 9, 9, false, 3);
    await assert.rejects(decodePng(png.subarray(0, 60)), { code: "IMAGE_TRUNCATED" });
    const wrong = Buffer.from(png);
    wrong[45]! ^= 1;
    await assert.rejects(decodePng(wrong), { code: "IMAGE_CORRUPT" });
    await assert.rejects(decodePng(Buffer.from("GIF89a..........")), { code: "IMAGE_FORMAT" });
    const bomb = (size: number) => {
      const header = png.subarray(16, 29);
      const data = writeChunk("IDAT", deflateSync(Buffer.alloc(size)));
      return Buffer.concat([
        SIGNATURE,
        writeChunk("IHDR", header),
        data,
        writeChunk("IEND", Buffer.alloc(0)),
      ]);
    };
    await assert.rejects(decodePng(bomb(2 ** 22)), { code: "IMAGE_CORRUPT" });
    await assert.rejects(decodePng(bomb(10)), { code: "IMAGE_TRUNCATED" });
    const huge = Buffer.from(png.subarray(16, 29));
    huge.writeUInt32BE(60_000, 0);
    huge.writeUInt32BE(60_000, 4);
    const large = Buffer.concat([
      SIGNATURE,
      writeChunk("IHDR", huge),
      writeChunk("IEND", Buffer.alloc(0)),
    ]);
    await assert.rejects(decodePng(large), { code: "IMAGE_SIZE" });
  });
});
