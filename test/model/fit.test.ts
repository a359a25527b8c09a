import assert from "node:assert/strict";
import { DiffusionError } from "../../engine/errors.ts";
import { type Device, openDevice, type Plan } from "../../engine/index.ts";
import { compileFitting } from "../../model/fit.ts";
import { compileDecoder } from "../../model/painter.ts";
import { adapters } from "../support/devices.ts";
import { openX4Vae, settingOf, type Vae } from "../support/vae.ts";

/** Six tiles of 8 x 8. */
const LATENTS = { batch: 1, height: 14, width: 20, channels: 4 };

describe("compileFitting", () => {
  let vae: Vae;
  let name: Awaited<ReturnType<typeof adapters>>[number]["name"];
  /** Bytes that a device holds with the decoder compiled, whole and in tiles, and its dispatches. */
  const needs = { whole: 0, tiled: 0 };
  let tiles = 0;
  before(async () => {
    vae = await openX4Vae();
    const { device, name: adapter } = (await adapters())[0]!;
    name = adapter;
    for (const form of ["whole", "tiled"] as const) {
      const setting = settingOf(device, "f32");
      const before = device.allocatedBytes;
      const plan = await compileDecoder(setting, { vae }, LATENTS, { vaeTiling: form === "tiled" });
      needs[form] = device.allocatedBytes - before;
      tiles = plan.program.dispatches.length;
      await plan.destroy();
      await setting.weights.destroy();
    }
  });

  const within = async (memoryBudget: number, run: (device: Device) => Promise<void>) => {
    const device = await openDevice({ adapter: name, memoryBudget });
    try {
      await run(device);
    } finally {
      device.destroy();
    }
  };
  const fitting = (device: Device) =>
    compileFitting((options) =>
      compileDecoder(settingOf(device, "f32"), { vae }, LATENTS, options),
    );

  it("takes tiles where memory is too small for the whole, and says so", () =>
    within((needs.whole + needs.tiled) / 2, async (device) => {
      assert.ok(needs.tiled < needs.whole);
      const { plan, warning } = await fitting(device);
      assert.equal(plan.program.dispatches.length, tiles);
      assert.match(warning!, /in tiles.*the budget is/);
    }));

  it("says nothing where the whole fits", () =>
    within(2 * needs.whole, async (device) => {
      const { plan, warning } = await fitting(device);
      assert.ok(plan.program.dispatches.length < tiles);
      assert.equal(warning, undefined);
    }));

  it("fails with the stage and what to try where tiles do not fit either", () =>
    within(1000, async (device) => {
      await assert.rejects(fitting(device), (error) => {
        assert.ok(error instanceof DiffusionError);
        assert.equal(error.code, "GPU_OOM");
        assert.match(error.message, /^the VAE: /);
        assert.match(error.hint!, /--dtype f16 --vae-tiling.*--width 512/);
        return true;
      });
    }));

  it("leaves other faults alone, and compiles once for them", async () => {
    let calls = 0;
    const compile = async (): Promise<Plan> => {
      calls++;
      throw new DiffusionError("WEIGHTS_MISMATCH", "no such tensor");
    };
    await assert.rejects(compileFitting(compile), { code: "WEIGHTS_MISMATCH" });
    assert.equal(calls, 1);
  });
});
