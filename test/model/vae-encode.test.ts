import assert from "node:assert/strict";
import type { Device } from "../../engine/index.ts";
import { evaluate, tensor } from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import { createTorchGenerator } from "../../engine/random.ts";
import {
  compileEncoder,
  encode,
  channelsLast as latentsLast,
  sampleLatents,
} from "../../model/encode.ts";
import { openFolder } from "../../model/folder.node.ts";
import { adapters, settled } from "../support/devices.ts";
import {
  CHECKPOINTS,
  channelsLast,
  checkpointPath,
  maxError,
  openGolden,
  rmsError,
  STAGE_TOLERANCE,
} from "../support/golden.ts";
import { settingOf, vaeGolden } from "../support/vae.ts";

const HALF_TOLERANCE = 5e-3;

/** The seed of each checkpoint's sample; tools/reference/vae_extra.py. */
const SEEDS = { "tiny-v": 100, "tiny-eps": 101 } as const;

describe("compileEncoder", () => {
  let device: Device;
  let golden: Awaited<ReturnType<typeof vaeGolden>>;
  before(async () => {
    device = (await adapters())[0]!.device;
    golden = await vaeGolden();
  });
  afterEach(() => settled(device));

  for (const name of CHECKPOINTS) {
    for (const dtype of ["f32", "f16"] as const) {
      it(`gives PyTorch's sample of latents, scaled, of a picture: ${name}, ${dtype}`, async () => {
        const picture = channelsLast(
          (await openGolden(name, ["vae.safetensors"]))(
            "vae.safetensors",
            "vae-encode/24x16/encoder/sample",
          ),
        );
        const expected = channelsLast(golden(`${name}/sample`)).data;
        await using folder = await openFolder(checkpointPath(name));
        const vae = {
          config: folder.vae.config,
          weights: Weights.of("vae", await folder.vae.tensors()),
        };
        const [batch, height, width] = picture.shape as [number, number, number];
        const setting = settingOf(device, dtype);
        const plan = await compileEncoder(setting, { vae }, { batch, height, width });
        const shape = { batch, height: height / 8, width: width / 8, channels: 4 };
        const noise = createTorchGenerator(SEEDS[name]).randn(expected.length);
        encode(plan, [...picture.data], noise, shape);
        const unscaled = [...(await plan.read("latents"))].map((v) => v / vae.config.scalingFactor);
        await plan.destroy();
        await setting.weights.destroy();
        if (dtype === "f32") {
          const error = maxError(unscaled, expected);
          assert.ok(error <= STAGE_TOLERANCE, `off by ${error}`);
          const mean = channelsLast(golden(`${name}/fault-mean-for-sample`)).data;
          assert.ok(maxError(mean, expected) > STAGE_TOLERANCE, "the mean in its place would pass");
        } else {
          const error = rmsError(unscaled, expected);
          assert.ok(error <= HALF_TOLERANCE, `the rms error is ${error}`);
        }
      });
    }
  }

  it("clamps the log variance at -30 and 20", async () => {
    const moments = channelsLast(golden("wide/moments"));
    const expected = channelsLast(golden("wide/sample"));
    const [batch, height, width, channels] = expected.shape as [number, number, number, number];
    const drawn = createTorchGenerator(102).randn(expected.data.length);
    const noise = latentsLast(drawn, { batch, height, width, channels });
    const actual = await evaluate(device, () =>
      sampleLatents(tensor([...moments.data], moments.shape), tensor(noise, expected.shape), 0.5),
    );
    const unscaled = [...actual].map((v) => 2 * v);
    const error = maxError(unscaled, expected.data);
    assert.ok(error <= STAGE_TOLERANCE, `off by ${error}`);
    for (const fault of ["mean-for-sample", "no-clamp"]) {
      const wrong = channelsLast(golden(`wide/fault-${fault}`)).data;
      assert.ok(maxError(wrong, expected.data) > STAGE_TOLERANCE, `${fault} would pass`);
    }
  });
});
