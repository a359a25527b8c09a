import assert from "node:assert/strict";
import { openDevice } from "../../../engine/device.ts";
import { mapValues } from "../../../engine/graph.ts";
import { place } from "../../../engine/memory.ts";
import { lower, lowerWeight, type Program } from "../../../engine/program.ts";
import { verify } from "../../../engine/verify.ts";
import { depthGraph, expectedDepth, MIDAS_HYBRID } from "../../../model/depth/index.ts";
import type { OperandTypes } from "../../../shaders/assemble.ts";
import { totals } from "../../../tools/plans/dump.ts";
import { unreadable } from "../../../tools/plans/full-size.ts";
import { DEFAULT_GPU, SOFTWARE } from "../../../tools/plans/targets.ts";

const MIB = 2 ** 20;
const SIZES = { from: [384, 384], latents: [64, 64] } as const;

describe("the plan of a full-size depth estimator", () => {
  const part = {
    config: MIDAS_HYBRID,
    weights: unreadable("depth_estimator", expectedDepth(MIDAS_HYBRID)),
  };
  const program = (dtype: "f32" | "f16", target = DEFAULT_GPU) =>
    lower(depthGraph(part, SIZES, dtype), target);

  for (const dtype of ["f16", "f32"] as const) {
    it(`stays within WebGPU's default limits in ${dtype}`, () => {
      const { largestBinding, largestBuffer, dispatches } = totals(program(dtype));
      assert.ok(largestBinding <= 128 * MIB, `binds ${largestBinding} bytes`);
      assert.ok(largestBuffer <= 256 * MIB, `has a buffer of ${largestBuffer} bytes`);
      assert.ok(dispatches <= 450, `${dispatches} dispatches`);
    });

    it(`is safe in ${dtype}: the verifier accepts it, and no grid is too large`, () => {
      for (const target of [DEFAULT_GPU, SOFTWARE]) {
        const lowered = program(dtype, target);
        verify(lowered, place(lowered));
        for (const { kernel, params } of lowered.dispatches) {
          assert.ok(Math.max(...kernel.workgroups(params)) <= 65_535, kernel.name);
        }
      }
    });
  }

  it("standardises no weight while it runs, and resizes no places", () => {
    const { dispatches } = program("f16");
    const count = (name: string) => dispatches.filter(({ kernel }) => kernel.name === name).length;
    // The two of each of the ViT's layers are in the products that read them; one that standardised a weight would show.
    assert.equal(count("layer-norm"), 0);
    // Twice the size in four fusion blocks and in the head; to the size of the latents.
    assert.equal(count("interpolate"), 6);
  });

  it("compiles on Dawn's null backend, and so do the kernels that load its weights", async () => {
    using device = await openDevice({ backend: "null", bake: false });
    const compileAll = (lowered: Program) =>
      Promise.all(
        lowered.dispatches.map(({ kernel, params, operands }) =>
          device.pipeline(kernel, params, mapValues(operands, ({ type }) => type) as OperandTypes),
        ),
      );
    const lowered = program("f16");
    await compileAll(lowered);
    for (const { kind, tensor } of lowered.storages) {
      if (kind === "weight") await compileAll(lowerWeight(tensor!, DEFAULT_GPU));
    }
    device.check();
  });
});
