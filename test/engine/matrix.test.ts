import assert from "node:assert/strict";
import { attention, conv2d, type Device, linear, openDevice } from "../../engine/index.ts";
import { MATRIX_FEATURE, matrixUnitOf } from "../../engine/matrix.ts";
import { numel, type Shape } from "../../engine/shape.ts";
import {
  chooseMatrixTiling,
  MATRIX_TILES,
  type MatrixUnit,
  PANEL,
  tileRows,
} from "../../shaders/matrix.ts";
import { attentionTile } from "../../shaders/matrix-attention.ts";
import { describeOnEveryAdapter, describeOnMatrixUnits } from "../support/devices.ts";
import { kernels, numbered, runAll } from "../support/fused.ts";
import { normalOperand, parameterOperand } from "../support/operand.ts";
import { random } from "../support/random.ts";

const NEEDED = [MATRIX_FEATURE, "shader-f16", "subgroups"];

interface FakeAdapter {
  readonly lanes: readonly [min: number, max: number];
  readonly configs: readonly string[];
  readonly features?: readonly string[];
}

/** Configurations as "f16 16x16x16 f32". */
function adapter({ lanes, configs, features = NEEDED }: FakeAdapter): GPUAdapter {
  const subgroupMatrixConfigs = configs.map((text) => {
    const [componentType, sizes, resultComponentType] = text.split(" ");
    const [M, N, K] = sizes!.split("x").map(Number);
    return { componentType, resultComponentType, M, N, K };
  });
  const info = { subgroupMinSize: lanes[0], subgroupMaxSize: lanes[1], subgroupMatrixConfigs };
  return { features: new Set(features), info } as unknown as GPUAdapter;
}

const UNITS: readonly MatrixUnit[] = [
  { m: 16, n: 16, k: 16, subgroup: 32, pinned: false, dialect: "template" },
  { m: 16, n: 8, k: 16, subgroup: 32, pinned: false, dialect: "template" },
  { m: 16, n: 8, k: 8, subgroup: 32, pinned: false, dialect: "template" },
  { m: 8, n: 16, k: 16, subgroup: 16, pinned: true, dialect: "template" },
  { m: 8, n: 8, k: 8, subgroup: 8, pinned: false, dialect: "bool" },
];

const LIMITS = { maxWorkgroupStorage: 48 * 1024 };

const SIZES = [
  { batch: 1, M: 8192, N: 320, K: 2880 },
  { batch: 1, M: 128, N: 1280, K: 11_520 },
  { batch: 3, M: 7, N: 5, K: 24 },
];

describe("matrixUnitOf", () => {
  it("takes f16 -> f32 of the largest sizes, with a subgroup that they fit", () => {
    const nvidia = [
      "f16 16x8x8 f16",
      "f16 16x8x8 f32",
      "f16 16x8x16 f32",
      "f16 16x16x16 f32",
      "u8 16x16x32 u32",
    ];
    const found = [
      adapter({ lanes: [32, 32], configs: nvidia }),
      adapter({
        lanes: [32, 64],
        configs: ["f16 16x16x16 f32"],
        features: [...NEEDED, "subgroup-size-control"],
      }),
      adapter({
        lanes: [8, 32],
        configs: ["f16 8x16x16 f32"],
        features: [...NEEDED, "subgroup-size-control"],
      }),
      adapter({ lanes: [8, 8], configs: ["f16 8x8x8 f16", "f16 8x8x8 f32"] }),
    ].map(matrixUnitOf);
    assert.deepEqual(found, [
      { m: 16, n: 16, k: 16, subgroup: 32, pinned: false },
      { m: 16, n: 16, k: 16, subgroup: 32, pinned: true },
      { m: 8, n: 16, k: 16, subgroup: 16, pinned: true },
      { m: 8, n: 8, k: 8, subgroup: 8, pinned: false },
    ]);
  });

  it("takes none that sums in f16, has lanes too few or of no sure number, or lacks a feature", () => {
    const configs = ["f16 16x16x16 f32"];
    const none = [
      adapter({ lanes: [32, 32], configs: ["f16 8x8x8 f16", "f32 8x8x8 f32"] }),
      adapter({ lanes: [8, 8], configs }),
      adapter({ lanes: [32, 64], configs }),
      ...NEEDED.map((name) =>
        adapter({ lanes: [32, 32], configs, features: NEEDED.filter((other) => other !== name) }),
      ),
    ];
    for (const each of none) assert.equal(matrixUnitOf(each), undefined);
  });
});

describe("chooseMatrixTiling", () => {
  it("gives every unit and size a tile that its threads share evenly", () => {
    for (const unit of UNITS) {
      for (const size of SIZES) {
        for (const gated of [false, true]) {
          const { tile, slices } = chooseMatrixTiling({ ...size, gated }, unit, LIMITS);
          const threads = tile.subgroups[0] * tile.subgroups[1] * unit.subgroup;
          const label = JSON.stringify({ unit, size, gated, tile });
          assert.equal(((tileRows(tile) * PANEL) / 8) % threads, 0, label);
          assert.equal((unit.m * tile.columns) % (4 * unit.subgroup), 0, label);
          assert.equal(Math.ceil(size.K / PANEL) % slices, 0, label);
          assert.ok(tile.columns % ((gated ? 2 : 1) * unit.n) === 0, label);
        }
      }
    }
  });

  it("takes large tiles for many rows, small ones for few, and slices for long sums of few", () => {
    const unit = UNITS[0]!;
    const choose = (M: number, N: number, K: number) =>
      chooseMatrixTiling({ batch: 1, M, N, K, gated: false }, unit, LIMITS);
    assert.equal(choose(8192, 2560, 320).tile, MATRIX_TILES[0]);
    assert.ok(tileRows(choose(16, 64, 320).tile) <= 32);
    assert.ok(choose(128, 1280, 11_520).slices > 1);
    assert.equal(choose(8192, 2560, 320).slices, 1);
  });

  it("stays within workgroup memory, WebGPU's default of 16 KiB too", () => {
    const product = { batch: 1, M: 8192, N: 320, K: 2880, gated: false };
    const few = { maxWorkgroupStorage: 16_384 };
    const attends = { batch: 2, heads: 5, queries: 4096, keys: 4096, d: 64, e: 64, scale: 1 };
    const rows = { offset: 0, pitch: 16 };
    const params = { ...attends, causal: false, q: rows, k: rows, v: rows };
    for (const unit of UNITS) {
      const { tile } = chooseMatrixTiling(product, unit, few);
      assert.ok(16 * 5 * tileRows(tile) * (unit.dialect === "bool" ? 2 : 1) <= 16_384);
      assert.ok(attentionTile(params, unit, LIMITS));
    }
  });
});

describeOnEveryAdapter("a software adapter", (getDevice) => {
  it("uses no matrix units unless it is told to", async function () {
    if (process.env.WGSL_DIFFUSION_MATRIX === "on") this.skip();
    const { target, gpu } = getDevice();
    if (!target.software) this.skip();
    assert.equal(target.matrix, undefined);
    assert.ok(![...gpu.features].some((name) => name.startsWith("chromium-experimental")));
  });
});

describeOnMatrixUnits("matrix units", (getDevice, kind) => {
  it("are left alone with matrix: false", async () => {
    using device = await openDevice({ adapter: kind, matrix: false });
    assert.equal(device.target.matrix, undefined);
    assert.ok(!device.gpu.features.has(MATRIX_FEATURE as GPUFeatureName));
  });

  it("give the same bits in both dialects of WGSL", async () => {
    const device = getDevice() as { target: Device["target"] };
    const unit = device.target.matrix!;
    const r = random(81);
    const halves = (shape: Shape) => normalOperand(r, shape, "f16").t;
    const weight = (shape: Shape, name: string) =>
      parameterOperand(r.normals(numel(shape)), shape, "f16", name).t;
    const q = halves([1, 20, 16]);
    const cases = [
      { y: linear(halves([19, 40]), weight([24, 40], "a")) },
      { y: conv2d(halves([1, 5, 6, 8]), weight([9, 8, 3, 3], "b"), null, { padding: 1 }) },
      { y: attention(q, halves([1, 50, 16]), halves([1, 50, 16]), 2) },
    ];
    const run = async (dialect: MatrixUnit["dialect"]) => {
      const before = device.target;
      device.target = { ...before, matrix: { ...unit, dialect } };
      try {
        const names = kernels(getDevice(), numbered(cases));
        assert.deepEqual(names, ["matrix-gemm", "matrix-conv2d", "matrix-attention"]);
        return await runAll(getDevice(), numbered(cases));
      } finally {
        device.target = before;
      }
    };
    assert.deepEqual(await run("bool"), await run("template"));
  });
});
