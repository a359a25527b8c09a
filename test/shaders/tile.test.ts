import assert from "node:assert/strict";
import { custom, type Device, type Tensor } from "../../engine/index.ts";
import { numel } from "../../engine/shape.ts";
import { type Conv2dTiles, conv2d } from "../../shaders/conv2d.ts";
import { NO_EPILOGUE } from "../../shaders/epilogue.ts";
import { type GemmParams, gemm } from "../../shaders/gemm.ts";
import {
  chooseTiling,
  type ProductSize,
  TILES,
  type Tile,
  tileColumns,
  tileRows,
} from "../../shaders/tile.ts";
import { DEFAULT_GPU } from "../../tools/plans/targets.ts";
import { conv2d as convReference } from "../reference/conv2d.ts";
import { matmul } from "../reference/linear.ts";
import type { Values } from "../reference/values.ts";
import { close } from "../support/close.ts";
import { describeOnEveryAdapter } from "../support/devices.ts";
import { numbered, runAll } from "../support/fused.ts";
import { normalOperand, type Operand, operand } from "../support/operand.ts";
import { type Random, random } from "../support/random.ts";

type Dtype = "f32" | "f16";

interface Case {
  readonly y: Tensor;
  readonly expected: Values;
  readonly terms: number;
}

const nameOf = (tile: Tile) => `${tileRows(tile)}x${tileColumns(tile)}`;

describe("tiles", () => {
  it("fit into WebGPU's default limits, one block of 4 x 4 of the left side to a thread", () => {
    for (const tile of TILES) {
      const [down, across] = tile.threads;
      assert.ok(down * across <= 256, nameOf(tile));
      assert.equal((tileRows(tile) * tile.panel) / 16, down * across, nameOf(tile));
      const bytes = 4 * tile.panel * (tileRows(tile) + tileColumns(tile));
      assert.ok(bytes <= DEFAULT_GPU.maxWorkgroupStorage, `${nameOf(tile)}: ${bytes} bytes`);
      // What a thread brings of the right side: whole rows of a panel, so that its column is one.
      assert.equal((down * across) % (tileColumns(tile) / 4), 0, nameOf(tile));
    }
  });

  const size = (M: number, N: number, K: number, rest: Partial<ProductSize> = {}) => ({
    batch: 1,
    M,
    N,
    K,
    gated: false,
    ...rest,
  });
  const chosen = (p: ProductSize) => nameOf(chooseTiling(p, DEFAULT_GPU).tile);

  it("are large where there is work for all, small where there is not, narrow where the result is", () => {
    assert.equal(chosen(size(8192, 2560, 320, { gated: true })), "128x64");
    assert.equal(chosen(size(8192, 320, 2880)), "64x64");
    assert.equal(chosen(size(512, 1280, 11520)), "32x64");
    assert.equal(chosen(size(1, 1280, 320)), "32x32");
    assert.equal(chosen(size(262144, 4, 1152)), "64x16");
    assert.equal(chosen(size(64, 64, 64, { gated: true })), "32x64");
    const only = chooseTiling(size(8192, 320, 2880), DEFAULT_GPU, [TILES[0]!]);
    assert.equal(nameOf(only.tile), "128x64");
    const small = chooseTiling(size(8192, 2560, 320), { maxWorkgroupStorage: 8192 });
    assert.equal(nameOf(small.tile), "64x64");
    const normed = size(8192, 2560, 320, { normed: true });
    const smaller = chooseTiling(normed, { maxWorkgroupStorage: 8192 });
    assert.equal(nameOf(smaller.tile), "64x16", "which leaves room for a norm a row");
  });

  it("of a long sum are sliced where they are too few", () => {
    const slices = (p: ProductSize) => chooseTiling(p, DEFAULT_GPU).slices;
    assert.equal(slices(size(128, 1280, 11520)), 16);
    assert.equal(slices(size(3, 5, 4096)), 8);
    assert.equal(slices(size(3, 5, 4096 + 4)), 1, "not whole panels");
    assert.equal(slices(size(128, 1280, 1280)), 1, "too short");
    assert.equal(slices(size(8192, 320, 2880)), 1, "enough tiles");
    assert.equal(slices(size(128, 1280, 11520, { batch: 2 })), 1, "batches");
    assert.equal(slices(size(128, 1280, 11520, { gated: true })), 1, "gates");
    assert.equal(slices(size(128, 1280, 11520, { normed: true })), 1, "norms");
  });
});

describeOnEveryAdapter(
  "tiles",
  (getDevice) => {
    it("may be more than one dimension of a grid has workgroups", async () => {
      const smallest: Tile = { threads: [1, 1], quads: 1, columns: 1, panel: 4, speed: 1 };
      const cases = [product(random(99), smallest, "f32", 4 * 65_549 + 1, 4, 3)];
      await check(getDevice(), cases, "f32");
    });

    TILES.forEach((tile, i) => {
      it(`of ${nameOf(tile)} cover products of any size`, async () => {
        for (const dtype of ["f32", "f16"] as const) {
          const r = random(100 + i);
          const [rows, columns] = [tileRows(tile), tileColumns(tile)];
          const cases = [
            product(r, tile, dtype, 1, 1, 1),
            product(r, tile, dtype, rows + 1, columns - 1, tile.panel + 1),
            product(r, tile, dtype, 2 * rows - 1, columns + 4, 3 * tile.panel),
            product(r, tile, dtype, 7, 2 * columns + 1, 2 * tile.panel - 5),
          ];
          await check(getDevice(), cases, dtype);
        }
      });

      it(`of ${nameOf(tile)} cover convolutions, their sums whole and in slices`, async () => {
        const dtype = i % 2 === 0 ? "f16" : "f32";
        const r = random(200 + i);
        const cases = [
          convolution(r, tile, dtype, 5, 7, 1),
          convolution(r, tile, dtype, 16, tileColumns(tile) + 1, 1),
          convolution(r, tile, dtype, 4 * tile.panel, 9, 3),
        ];
        await check(getDevice(), cases, dtype);
      });
    });
  },
  { software: false, bake: false },
);

/** x [M, K] times w, whose rows are filled up to a multiple of four with zeros. */
function product(r: Random, tile: Tile, dtype: Dtype, M: number, N: number, K: number): Case {
  const x = normalOperand(r, [M, K], dtype);
  const w = normalOperand(r, [K, N], dtype);
  const K4 = Math.ceil(K / 4);
  const params: GemmParams = {
    ...NO_EPILOGUE,
    batch: 1,
    M,
    N,
    K,
    gated: false,
    xOffset: 0,
    xPitch: K4,
    xBatch: 0,
    wBatch: 0,
    tile,
  };
  const inputs = { x: x.t, w: zeroRows(w, 4 * K4 - K, dtype).t };
  return {
    y: custom(gemm, params, inputs, [M, N], dtype),
    expected: matmul(x.v, w.v),
    terms: K,
  };
}

function zeroRows({ v }: Operand, count: number, dtype: Dtype): Operand {
  const [rows, columns] = v.shape as [number, number];
  return operand(
    [...v.data, ...new Array(count * columns).fill(0)],
    [rows + count, columns],
    dtype,
  );
}

/** 3x3 over two pictures of 5 x 7, strides 2 and 1, a border at the top and at both sides; partial sums if sliced. */
function convolution(
  r: Random,
  tile: Tile,
  dtype: Dtype,
  inChannels: number,
  outChannels: number,
  slices: number,
): Case {
  const x = normalOperand(r, [2, 5, 7, inChannels], dtype);
  const weight = normalOperand(r, [outChannels, inChannels, 3, 3], dtype);
  const expected = convReference(x.v, weight.v, undefined, {
    stride: [2, 1],
    padding: [1, 0, 1, 1],
  });
  const params: Conv2dTiles = {
    ...NO_EPILOGUE,
    batch: 2,
    sourceHeight: 5,
    sourceWidth: 7,
    inHeight: 5,
    inWidth: 7,
    inChannels,
    outHeight: expected.shape[1]!,
    outWidth: expected.shape[2]!,
    outChannels,
    kernel: [3, 3],
    stride: [2, 1],
    top: 1,
    left: 1,
    tile,
    slices,
  };
  const inputs = { x: x.t, w: tapsFirst(weight, dtype).t };
  const y = custom(conv2d, params, inputs, [slices, ...expected.shape], dtype);
  return { y, expected, terms: 9 * inChannels };
}

/** [out, in, 3, 3] as [9 · in in whole vec4s, out], as conv2d reads it. */
function tapsFirst({ v }: Operand, dtype: Dtype): Operand {
  const [out, channels] = v.shape as [number, number];
  const pitch = 4 * Math.ceil(channels / 4);
  const data = Array.from({ length: 9 * pitch * out }, (_, at) => {
    const [o, c, tap] = [at % out, Math.floor(at / out) % pitch, Math.floor(at / out / pitch)];
    return c < channels ? v.data[(o * channels + c) * 9 + tap]! : 0;
  });
  return operand(data, [9 * pitch, out], dtype);
}

/** Partial sums come apart in the result: added up here, they must be the whole. */
async function check(device: Device, cases: readonly Case[], dtype: Dtype): Promise<void> {
  const results = await runAll(device, numbered(cases));
  cases.forEach(({ y, expected, terms }, i) => {
    const size = numel(expected.shape);
    const slices = numel(y.shape) / size;
    const sums = expected.data.map((_, at) => {
      const parts = Array.from({ length: slices }, (_, s) => results[i]![s * size + at]!);
      return parts.reduce((a, b) => a + b);
    });
    // Each partial sum is rounded by itself, and may be larger than the whole.
    const magnitude = Math.sqrt(terms) * 6;
    const label = `[${y.shape}] of ${terms} terms`;
    close(sums, expected.data, { dtype, terms, roundings: slices, magnitude, label });
  });
}
