/** Weights that hold NaN, infinity or too much: an error with step and stage, never a black picture. */
import assert from "node:assert/strict";
import { DiffusionError } from "../../engine/errors.ts";
import type { Device } from "../../engine/index.ts";
import { StableDiffusion } from "../../model/pipeline.ts";
import {
  copyCheckpoint,
  editTensor,
  type PartName,
  removeCopies,
} from "../support/checkpoint-copy.ts";
import { adapters, settled } from "../support/devices.ts";

const REQUEST = { prompt: "a horse", steps: 3, seed: 1, width: 64, height: 64 } as const;

/** One weight, or all of a tensor, in the file of tiny-eps, which holds f32. */
const one = (value: number) => (bytes: DataView) => bytes.setFloat32(0, value, true);
const times = (factor: number) => (bytes: DataView) => {
  for (let i = 0; i < bytes.byteLength; i += 4) {
    bytes.setFloat32(i, factor * bytes.getFloat32(i, true), true);
  }
};

type Row = readonly [
  what: string,
  part: PartName,
  tensor: string,
  edit: (bytes: DataView) => void,
  dtype: "f32" | "f16",
  message: RegExp,
];

const ROWS: readonly Row[] = [
  ["a NaN in the UNet", "unet", "conv_in.weight", one(Number.NaN), "f32", /after step 1 /],
  ["a NaN in the UNet", "unet", "conv_in.weight", one(Number.NaN), "f16", /after step 1 /],
  [
    "an infinity in the UNet",
    "unet",
    "mid_block.resnets.0.conv1.bias",
    one(Number.POSITIVE_INFINITY),
    "f32",
    /after step 1 /,
  ],
  ["a NaN in a norm", "unet", "conv_norm_out.weight", one(Number.NaN), "f32", /after step 1 /],
  [
    "a NaN in an attention",
    "unet",
    "mid_block.attentions.0.transformer_blocks.0.attn1.to_k.weight",
    one(Number.NaN),
    "f32",
    /after step 1 /,
  ],
  [
    "a NaN in the text encoder",
    "text_encoder",
    "text_model.final_layer_norm.weight",
    one(Number.NaN),
    "f32",
    /after step 1 /,
  ],
  // Euler's three steps add some 13, 1.6 and 0.03 times this: the second goes beyond 3.4e38.
  ["latents that grow", "unet", "conv_out.bias", one(2.45e37), "f32", /after step 2 /],
  ["a NaN in the VAE", "vae", "decoder.conv_in.weight", one(Number.NaN), "f32", /VAE decoder/],
  ["a NaN in the VAE", "vae", "decoder.conv_out.bias", one(Number.NaN), "f16", /VAE decoder/],
];

describe("what is not finite", () => {
  let device: Device;
  before(async () => {
    device = (await adapters())[0]!.device;
  });
  afterEach(() => settled(device));
  after(removeCopies);

  for (const [what, part, tensor, edit, dtype, message] of ROWS) {
    it(`is an error that says where, in ${dtype}: ${what} (${tensor})`, async () => {
      const folder = copyCheckpoint("tiny-eps", (copy) => editTensor(copy, part, tensor, edit));
      await using sd = await StableDiffusion.fromPretrained(folder, { device, dtype });
      const request = { ...REQUEST, scheduler: "euler" };
      await assert.rejects(sd.generate(request), isNumeric(message));
      if (part === "vae") return;
      await assert.rejects(sd.generate({ ...request, output: "latent" }), isNumeric(message));
    });
  }

  // Halves hold at ±65504 (shaders/assemble.ts), so what is large and finite stays so.
  for (const [part, tensor] of [
    ["unet", "conv_in.weight"],
    ["vae", "decoder.conv_in.weight"],
  ] as const) {
    it(`is not what large weights become in f16: a picture comes of ${part}.${tensor} x 10^6`, async () => {
      const folder = copyCheckpoint("tiny-eps", (copy) =>
        editTensor(copy, part, tensor, times(1e6)),
      );
      await using sd = await StableDiffusion.fromPretrained(folder, { device, dtype: "f16" });
      assert.equal((await sd.generate(REQUEST)).images.length, 1);
    });
  }

  it("is found in the second of two pictures, though the first is sound", async () => {
    const folder = copyCheckpoint("tiny-eps");
    await using sd = await StableDiffusion.fromPretrained(folder, { device, dtype: "f32" });
    const { writeBuffer } = device.gpu.queue;
    device.gpu.queue.writeBuffer = (buffer: GPUBuffer, ...rest: unknown[]) => {
      const bytes = rest[1] as Uint8Array;
      const isState = buffer.label === "state";
      // Latents are [picture, h, w, 4]: the first value of the second picture.
      if (isState)
        new DataView(bytes.buffer, bytes.byteOffset).setFloat32(4 * 256, Number.NaN, true);
      return (writeBuffer as (...args: unknown[]) => undefined).call(
        device.gpu.queue,
        buffer,
        ...rest,
      );
    };
    try {
      await assert.rejects(sd.generate({ ...REQUEST, numImages: 2 }), isNumeric(/after step 1 /));
    } finally {
      Object.assign(device.gpu.queue, { writeBuffer });
    }
    assert.equal((await sd.generate({ ...REQUEST, numImages: 2 })).images.length, 2);
  });
});

function isNumeric(message: RegExp): (error: unknown) => boolean {
  return (error) => {
    assert.ok(error instanceof DiffusionError, String(error));
    assert.equal(error.code, "NUMERIC", error.message);
    assert.match(error.message, message);
    assert.ok(error.hint);
    return true;
  };
}
