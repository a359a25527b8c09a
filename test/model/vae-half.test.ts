/** Decoders whose activations leave the range of halves: still the right picture in f16. */
import assert from "node:assert/strict";
import { cast, type Device, type DType, type Tensor, tensor } from "../../engine/index.ts";
import { Weights } from "../../engine/parameters.ts";
import type { StoredTensor } from "../../engine/safetensors.ts";
import type { vaeConfig } from "../../model/config.ts";
import { openFolder } from "../../model/folder.node.ts";
import { conv } from "../../model/layers.ts";
import { decoder, encoder, VAE_EPS, vaeDecoder, vaeEncoder } from "../../model/vae.ts";
import { adapters, settled } from "../support/devices.ts";
import { runAll } from "../support/fused.ts";
import { channelsLast, checkpointPath, openGolden, rmsError } from "../support/golden.ts";
import { distance } from "../support/pictures.ts";

/** rms(Δ) / rms(expected), as of every whole model in f16 (blocks.test.ts). */
const HALF_TOLERANCE = 5e-3;

/** Weights whose results go into what a norm reads, and the biases of those that read it. */
const ENTERS = /(?:conv_in|conv1|conv2|to_out\.0)\.(?:weight|bias)$/;
const BIASES = /(?:conv_shortcut|samplers\.0\.conv)\.bias$/;

/** tiny-eps holds f32. All that a norm reads times `factor`: the same picture, but for epsilon. */
function louder(tensors: ReadonlyMap<string, StoredTensor>, factor: number) {
  return new Map(
    [...tensors].map(([name, stored]) => {
      if (!ENTERS.test(name) && !BIASES.test(name)) return [name, stored];
      const read = async (offset: number, length: number) => {
        const bytes = (await stored.read(offset, length)).slice();
        const values = new Float32Array(bytes.buffer);
        values.forEach((v, i) => {
          values[i] = factor * v;
        });
        return bytes;
      };
      return [name, { ...stored, read }];
    }),
  );
}

const levels = (values: ArrayLike<number>) =>
  Array.from(values, (v) => 255 * Math.min(1, Math.max(0, v / 2 + 0.5)));

describe("a VAE whose activations leave the range of halves", () => {
  let device: Device;
  let tensors: ReadonlyMap<string, StoredTensor>;
  let golden: Awaited<ReturnType<typeof openGolden>>;
  let config: ReturnType<typeof vaeConfig>;
  let close: () => Promise<void>;
  before(async () => {
    device = (await adapters())[0]!.device;
    const folder = await openFolder(checkpointPath("tiny-eps"));
    close = () => folder.close();
    config = folder.vae.config;
    tensors = await folder.vae.tensors();
    golden = await openGolden("tiny-eps", ["vae.safetensors"]);
  });
  after(() => close());
  afterEach(() => settled(device));

  const constant = (name: string) => {
    const { data, shape } = channelsLast(golden("vae.safetensors", name));
    return tensor([...data], shape);
  };
  const z = () => constant("vae-decode/8x8/z");
  /** The decoder without a factor on what norms read. */
  const naive = (w: Weights, z: Tensor) => {
    const norm = { groups: config.normNumGroups, eps: VAE_EPS };
    return decoder(w.at("decoder"), norm, conv(w.at("post_quant_conv"), z));
  };

  // Beyond 2^15 the weights themselves leave the range of halves.
  for (const factor of [2 ** 14, 2 ** 15]) {
    it(`decodes in f16 with weights x ${factor}, where halves alone give another picture`, async () => {
      const w = Weights.of("vae", louder(tensors, factor));
      const decode = (dtype: DType) => cast(vaeDecoder(w, config, cast(z(), dtype)), "f32");
      const results = await runAll(device, {
        single: decode("f32"),
        half: decode("f16"),
        naive: cast(naive(w, cast(z(), "f16")), "f32"),
        quiet: vaeDecoder(Weights.of("vae", tensors), config, z()),
      });
      const single = levels(results.single!);
      assert.ok(
        distance(levels(results.quiet!), single).psnr >= 60,
        "the factor changed the model",
      );
      const { psnr } = distance(levels(results.half!), single);
      assert.ok(psnr >= 40, `${psnr} dB`);
      const wrong = distance(levels(results.naive!), single).psnr;
      assert.ok(wrong < 25, `without a factor it is ${wrong} dB`);
    });
  }

  it("loses nothing by it where halves alone would do", async () => {
    const w = Weights.of("vae", tensors);
    const results = await runAll(device, {
      single: vaeDecoder(w, config, z()),
      half: cast(vaeDecoder(w, config, cast(z(), "f16")), "f32"),
      naive: cast(naive(w, cast(z(), "f16")), "f32"),
    });
    const [half, plain] = [results.half!, results.naive!].map(
      (values) => distance(levels(values), levels(results.single!)).psnr,
    );
    assert.ok(half! > plain! - 1, `${half} dB, without a factor ${plain} dB`);
  });

  it("encodes in f16 too", async () => {
    const w = Weights.of("vae", louder(tensors, 2 ** 15));
    const x = constant("vae-encode/32x32/x");
    const norm = { groups: config.normNumGroups, eps: VAE_EPS };
    const half = cast(x, "f16");
    const results = await runAll(device, {
      moments: vaeEncoder(w, config, half),
      naive: conv(w.at("quant_conv"), encoder(w.at("encoder"), norm, half)),
    });
    const expected = channelsLast(golden("vae.safetensors", "vae-encode/32x32/output")).data;
    const error = rmsError(results.moments!, expected);
    assert.ok(error <= HALF_TOLERANCE, `the rms error is ${error}`);
    assert.ok(rmsError(results.naive!, expected) > 10 * HALF_TOLERANCE);
  });
});
