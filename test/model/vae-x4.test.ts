/** The x4 upscaler's VAE, and diffusers' tiles, against PyTorch. */
import assert from "node:assert/strict";
import { type Device, tensor } from "../../engine/index.ts";
import { lower } from "../../engine/program.ts";
import { decodePicture } from "../../model/decode.ts";
import { encodeMoments } from "../../model/encode.ts";
import { decodeTiling, encodeTiling } from "../../model/tiles.ts";
import { groupNormJoin } from "../../shaders/group-norm.ts";
import { adapters, settled } from "../support/devices.ts";
import { runAll } from "../support/fused.ts";
import { channelsLast, maxError, rmsError, STAGE_TOLERANCE } from "../support/golden.ts";
import { distance } from "../support/pictures.ts";
import { openX4Vae, type Vae, vaeGolden } from "../support/vae.ts";

const HALF_TOLERANCE = 5e-3;

describe("the x4 upscaler's VAE against PyTorch", () => {
  let device: Device;
  let vae: Vae;
  let golden: Awaited<ReturnType<typeof vaeGolden>>;
  before(async () => {
    device = (await adapters())[0]!.device;
    vae = await openX4Vae();
    golden = await vaeGolden();
  });
  afterEach(() => settled(device));

  const last = (name: string) => channelsLast(golden(name));
  const outputs = (dtype: "f32" | "f16") => {
    const { weights, config } = vae;
    const constant = (name: string) => tensor([...last(name).data], last(name).shape);
    const [z, picture] = [constant("x4/z"), constant("x4/tiled-decoded")];
    const vaeTiling = true;
    return {
      "x4/decoded": decodePicture(weights, config, z, dtype),
      "x4/tiled-decoded": decodePicture(weights, config, z, dtype, { vaeTiling }),
      "x4/moments": encodeMoments(weights, config, picture, dtype),
      "x4/tiled-moments": encodeMoments(weights, config, picture, dtype, { vaeTiling }),
    };
  };

  it("decodes and encodes, whole and in tiles, in f32", async () => {
    const results = await runAll(device, outputs("f32"));
    for (const [name, actual] of Object.entries(results)) {
      const error = maxError(actual, last(name).data);
      assert.ok(error <= STAGE_TOLERANCE, `${name} is off by ${error}`);
    }
    const levels = (values: ArrayLike<number>) =>
      Array.from(values, (v) => Math.round(255 * Math.min(1, Math.max(0, v / 2 + 0.5))));
    const { worst } = distance(
      levels(results["x4/tiled-decoded"]!),
      levels(last("x4/tiled-decoded").data),
    );
    assert.ok(worst <= 1, `${worst} levels`);
  });

  it("decodes and encodes, whole and in tiles, in f16", async () => {
    for (const [name, actual] of Object.entries(await runAll(device, outputs("f16")))) {
      const error = rmsError(actual, last(name).data);
      assert.ok(error <= HALF_TOLERANCE, `the rms error of ${name} is ${error}`);
    }
  });

  it("comes to the same in bands of rows, which is exact where tiles are not", async () => {
    const { "x4/decoded": decoded, "x4/moments": moments } = outputs("f32");
    const plain = { "x4/decoded": decoded, "x4/moments": moments };
    // 8 channels of 44 columns in f32 take 1408 bytes a row: bands of two rows.
    const options = { bandBytes: 4 * 1408 };
    const program = lower(plain, device.target, options);
    assert.ok(program.dispatches.filter(({ kernel }) => kernel === groupNormJoin).length > 50);
    for (const [name, actual] of Object.entries(await runAll(device, plain, options))) {
      const error = maxError(actual, last(name).data);
      assert.ok(error <= STAGE_TOLERANCE, `${name} is off by ${error}`);
    }
  });

  it("has tiles that do matter: the whole picture in their place would not pass", () => {
    for (const name of ["decoded", "moments"]) {
      const error = maxError(last(`x4/${name}`).data, last(`x4/tiled-${name}`).data);
      assert.ok(error > 10 * STAGE_TOLERANCE, `${name} is ${error} from its tiles`);
    }
  });

  it("has diffusers' tiles: of sample_size, a quarter of them shared", () => {
    assert.deepEqual(decodeTiling(vae.config), { tile: 8, step: 6, blend: 8, kept: 24 });
    assert.deepEqual(encodeTiling(vae.config), { tile: 32, step: 24, blend: 2, kept: 6 });
    const sd2 = { ...vae.config, blockOutChannels: [128, 256, 512, 512], sampleSize: 768 };
    assert.deepEqual(decodeTiling(sd2), { tile: 96, step: 72, blend: 192, kept: 576 });
    // A quarter of 50 / 4 latents is no whole number: the next smaller tile that can be shared out.
    assert.deepEqual(decodeTiling({ ...vae.config, sampleSize: 50 }), {
      ...{ tile: 12, step: 9, blend: 12, kept: 36 },
    });
  });
});
