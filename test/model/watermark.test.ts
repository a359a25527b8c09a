import assert from "node:assert/strict";
import { readFileSync } from "node:fs";
import type { DiffusionError } from "../../engine/errors.ts";
import { toRgb } from "../../model/image/image.ts";
import { readWatermark, watermark } from "../../model/watermark.ts";
import { digest, noise } from "../support/noise-image.ts";

interface WatermarkCase {
  readonly kind: "noise" | "smooth" | "flat";
  readonly height: number;
  readonly width: number;
  readonly seed: number;
  readonly sha256: string;
  readonly first: readonly number[];
  /** Hexadecimal: what is read before and after. */
  readonly plain: string;
  readonly read: string;
}

const cases: WatermarkCase[] = JSON.parse(
  readFileSync(new URL("../fixtures/watermark.json", import.meta.url), "utf8"),
);

/** As `picture` in tools/reference/watermark.py, with an alpha of its own. */
function picture({ kind, height, width, seed }: WatermarkCase): Uint8Array {
  const bytes = noise(width * height * 3, seed);
  return Uint8Array.from({ length: width * height * 4 }, (_, i) => {
    const [pixel, c] = [i >> 2, i & 3];
    if (c === 3) return pixel & 255;
    if (kind === "flat") return seed;
    const raw = bytes[3 * pixel + c]!;
    if (kind === "noise") return raw;
    const [x, y] = [pixel % width, Math.trunc(pixel / width)];
    return ((x * (c + 1) + y * (3 - c)) >> 2) + (raw & 7);
  });
}

const hex = (text: string) => Buffer.from(text, "latin1").toString("hex");

describe("the watermark", () => {
  for (const each of cases) {
    const { kind, height, width } = each;
    it(`is the original's, byte for byte: ${kind}, ${width}x${height}`, () => {
      const rgba = picture(each);
      const before = rgba.slice();
      const marked = watermark(rgba, width, height);
      assert.deepEqual(rgba, before);
      const { data } = toRgb({ width, height, data: marked });
      assert.deepEqual([...data.subarray(0, 24)], each.first);
      assert.equal(digest(data).sha256, each.sha256);
      assert.ok(marked.every((value, i) => i % 4 !== 3 || value === rgba[i]));
    });

    it(`is read as the original reads it: ${kind}, ${width}x${height}`, () => {
      const rgba = picture(each);
      const plain = readWatermark(rgba, width, height);
      const marked = readWatermark(watermark(rgba, width, height), width, height);
      assert.deepEqual([hex(plain.text), hex(marked.text)], [each.plain, each.read]);
    });
  }

  it("raises the confidence from chance to certainty where no colour is cut off, less where many are", () => {
    const [noisy, flat] = [cases[0]!, cases[4]!];
    const confidence = (rgba: Uint8Array | Uint8ClampedArray) =>
      readWatermark(rgba, 256, 256).confidence;
    const marked = (each: WatermarkCase) => watermark(picture(each), 256, 256);
    assert.ok(Math.abs(confidence(picture(noisy)) - 0.5) < 0.05);
    assert.ok(confidence(marked(noisy)) > 0.75);
    assert.equal(confidence(marked(flat)), 1);
    assert.equal(readWatermark(marked(flat), 256, 256).text, "SDV2");
  });

  it("is refused for pictures below 65536 pixels, and for bytes that are none", () => {
    const refused = (run: () => unknown) =>
      assert.throws(run, (e: DiffusionError) => e.code === "IMAGE_SIZE");
    refused(() => watermark(new Uint8Array(256 * 255 * 4), 256, 255));
    refused(() => readWatermark(new Uint8Array(256 * 255 * 4), 256, 255));
    refused(() => watermark(new Uint8Array(256 * 256 * 3), 256, 256));
  });
});
