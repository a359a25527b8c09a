/** A UNet as PyTorch exported it, with its inputs as the model has them: channels first. */
import { readFile } from "node:fs/promises";
import { join } from "node:path";
import { pictures } from "../layout.ts";
import { readUnetCase, type UnetCase } from "../unet-case.ts";
import type { OnnxCase } from "./case.ts";

export async function onnxUnet(c: UnetCase): Promise<Pick<OnnxCase, "model" | "inputs" | "ours">> {
  const { sample, timestep, context, output } = await readUnetCase(c);
  const [B, H, W, C] = sample.shape as [number, number, number, number];
  const data = pictures(sample.data as Float32Array, [B, C], "first");
  return {
    model: new Uint8Array(await readFile(join(c.folder, "unet.onnx"))),
    inputs: {
      sample: { shape: [B, C, H, W], data },
      timestep: { shape: [1], data: new Float32Array([timestep]) },
      context: { shape: context.shape, data: context.data as Float32Array },
    },
    ours: (values) => pictures(values, [B, output.shape[3]!], "last"),
  };
}
