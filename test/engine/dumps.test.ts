import assert from "node:assert/strict";
import { readdirSync, readFileSync } from "node:fs";
import { type Device, openDevice } from "../../engine/device.ts";
import { mapValues } from "../../engine/graph.ts";
import { place } from "../../engine/memory.ts";
import { lower, lowerWeight, type Program } from "../../engine/program.ts";
import { verify } from "../../engine/verify.ts";
import type { OperandTypes } from "../../shaders/assemble.ts";
import { copy } from "../../shaders/copy.ts";
import { groupNormJoin } from "../../shaders/group-norm.ts";
import { totals } from "../../tools/plans/dump.ts";
import { DTYPES, dumpFiles, type FullSizePlan, fullSizePlans } from "../../tools/plans/files.ts";
import { type ConfigFiles, fullSizeEncoder, fullSizeGraphs } from "../../tools/plans/full-size.ts";
import { DEFAULT_GPU, SOFTWARE } from "../../tools/plans/targets.ts";

const FIXTURES = new URL("../fixtures/", import.meta.url);
const SD2 = JSON.parse(readFileSync(new URL("sd2-keys.json", FIXTURES), "utf8"));
const CONFIGS = mapValues(SD2, (part) => (part as { config: unknown }).config);
const FILES = CONFIGS as unknown as ConfigFiles;

const MIB = 2 ** 20;

describe("the plans of a full-size SD2", () => {
  let gpu: FullSizePlan[];
  let software: FullSizePlan[];
  before(() => {
    gpu = fullSizePlans(FILES, DEFAULT_GPU);
    software = fullSizePlans(FILES, SOFTWARE);
  });
  const named = (pattern: RegExp) => {
    const found = gpu.filter(({ name }) => pattern.test(name));
    assert.ok(found.length > 0, String(pattern));
    return found;
  };

  it("are those of test/fixtures/plans (npm run dump-plans rewrites them; say why in the commit)", () => {
    const folder = new URL("plans/", FIXTURES);
    const texts = dumpFiles(FILES);
    assert.deepEqual(readdirSync(folder).sort(), [...texts.keys()].sort());
    for (const [name, text] of texts) {
      const [ours, theirs] = [text, readFileSync(new URL(name, folder), "utf8")].map((t) =>
        t.split("\n"),
      );
      const line = ours!.findIndex((text, i) => text !== theirs![i]);
      const at = `${name}:${line + 1}`;
      assert.equal(ours![line], theirs![line], at);
      assert.equal(ours!.length, theirs!.length, `lines of ${name}`);
    }
  });

  it("are safe: the verifier accepts them all", () => {
    for (const { program } of [...gpu, ...software]) verify(program, place(program));
  });

  it("evaluate the UNet in at most 350 dispatches", () => {
    for (const { name, program } of named(/^unet/)) {
      assert.ok(program.dispatches.length <= 350, `${name}: ${program.dispatches.length}`);
    }
  });

  it("need at most 400 MB for the results of any plan at 512x512 in f16", () => {
    for (const { name, program } of named(/^(?!.*768).*-f16$/)) {
      assert.ok(totals(program).activations <= 400e6, name);
    }
  });

  const fitsDefaultLimits = (name: string, program: Program) => {
    const { largestBinding, largestBuffer } = totals(program);
    assert.ok(largestBinding <= 128 * MIB, `${name} binds ${largestBinding} bytes`);
    assert.ok(largestBuffer <= 256 * MIB, `${name} has a buffer of ${largestBuffer} bytes`);
  };

  it("stay within WebGPU's default limits: all in f16, the VAE in f32 too", () => {
    for (const { name, program } of named(/^(?:.*-f16|vae.*)$/)) fitsDefaultLimits(name, program);
  });

  for (const size of [512, 768, 1024, 2048] as const) {
    it(`decode and encode ${size}x${size} within WebGPU's default limits, in bands where they must`, () => {
      for (const dtype of DTYPES) {
        for (const target of [DEFAULT_GPU, SOFTWARE]) {
          const options = { dtype, size };
          const graphs = [fullSizeGraphs(FILES, options).vae!, fullSizeEncoder(FILES, options)];
          for (const graph of graphs) {
            const program = lower(graph, target);
            verify(program, place(program));
            fitsDefaultLimits(`${Object.keys(graph)} in ${dtype}`, program);
          }
        }
      }
    });
  }

  it("would not fit without bands", () => {
    const graph = fullSizeGraphs(FILES, { dtype: "f32", size: 512 }).vae!;
    const program = lower(graph, DEFAULT_GPU, { bandBytes: Number.POSITIVE_INFINITY });
    assert.equal(totals(program).largestBinding, 256 * MIB);
  });

  it("have no bands where nothing is too large", () => {
    for (const { name, program } of named(/^(?:unet.*|vae-512-f16)$/)) {
      assert.ok(!program.dispatches.some(({ kernel }) => kernel === groupNormJoin), name);
    }
  });

  it("start no more than 65,535 workgroups a dimension", () => {
    for (const { name, program } of [...gpu, ...software]) {
      for (const { kernel, params, label } of program.dispatches) {
        const groups = kernel.workgroups(params);
        assert.ok(Math.max(...groups) <= 65_535, `${name} ${kernel.name} ${label}: ${groups}`);
      }
    }
  });

  for (const bake of [true, false]) {
    const form = bake ? "GPUs, sizes as constants" : "software adapters, sizes as uniforms";
    it(`compile on Dawn's null backend in the form for ${form}`, async () => {
      using device = await openDevice({ backend: "null", bake });
      for (const { program } of bake ? gpu : software) await compileAll(device, program);
    });
  }

  it("would not compile there with a fault in a kernel", async () => {
    using device = await openDevice({ backend: "null", bake: false });
    const { dims: _, ...faulty } = copy;
    const params = { shape: [4], stride: [1], offset: 0, before: [0], source: [4], value: 0 };
    const pipeline = device.pipeline(faulty, params, { x: "f32", y: "f32" });
    await assert.rejects(pipeline, { code: "GPU_VALIDATION", message: /dims/ });
  });

  it("load their weights by kernels that compile", async () => {
    using device = await openDevice({ backend: "null", bake: false });
    for (const { program } of gpu) {
      for (const { kind, tensor } of program.storages) {
        if (kind === "weight") await compileAll(device, lowerWeight(tensor!, DEFAULT_GPU));
      }
    }
  });
});

/** Every variant of every kernel; the same text is compiled once. */
async function compileAll(device: Device, program: Program): Promise<void> {
  await Promise.all(
    program.dispatches.map(({ kernel, params, operands }) =>
      device.pipeline(kernel, params, mapValues(operands, ({ type }) => type) as OperandTypes),
    ),
  );
  device.check();
}
