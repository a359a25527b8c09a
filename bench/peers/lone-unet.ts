/** A UNet's folder without the rest of a checkpoint. */
import { basename, dirname, join } from "node:path";
import { readJson } from "../../engine/platform/text-file.node.ts";
import type { ByteSource } from "../../engine/safetensors.ts";
import { unetConfig } from "../../model/config.ts";
import { diskFiles } from "../../model/files/disk.node.ts";
import type { ModelFolder } from "../../model/folder.node.ts";
import { openWeights } from "../../model/weight-files.ts";

/** Its files stay open until the process ends. Throws CONFIG and WEIGHTS_…. */
export async function openUnet(folder: string): Promise<Pick<ModelFolder, "unet">> {
  const config = unetConfig(await readJson(join(folder, "config.json"), "CONFIG"));
  const sources: ByteSource[] = [];
  const keep = (source: ByteSource) => void sources.push(source);
  const part = { stem: "diffusion_pytorch_model", variant: undefined, keep };
  const tensors = () => openWeights(diskFiles(dirname(folder)), basename(folder), part);
  return { unet: { config, tensors } };
}
