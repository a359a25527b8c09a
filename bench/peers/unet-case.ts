/**
 * Whole UNets to compare: the checkpoint's that ships, and a narrower one of Stable Diffusion 2's form. What
 * PyTorch exports of them (tools/reference/onnx_unet.py) is made on first use, beside the other engines.
 */
import { spawnSync } from "node:child_process";
import { createHash } from "node:crypto";
import { existsSync, readFileSync, rmSync } from "node:fs";
import { join } from "node:path";
import { type Golden, readGolden } from "../../tools/verify/golden.ts";
import { PACKAGES } from "./peer.ts";

const ROOT = join(import.meta.dirname, "../..");
const SCRIPT = join(ROOT, "tools/reference/onnx_unet.py");

/** Plain data: it goes from process to process. */
export interface UnetCase {
  readonly name: string;
  /** The folder with config.json and the weights. */
  readonly unet: string;
  /** `unet.onnx` and `golden.safetensors`. */
  readonly folder: string;
}

export interface UnetGolden {
  readonly sample: Golden;
  readonly timestep: number;
  readonly context: Golden;
  readonly output: Golden;
}

/** Throws if they are not there and Python with PyTorch is not either. */
export function unetCases(): UnetCase[] {
  const shapes = join(ROOT, "model/shapes/unet");
  return [
    exported("UNet of the checkpoint that ships, batch 2, latents 16x16", shapes, 16),
    exported(
      "narrower UNet of SD2's form (64 to 256 channels), batch 2, latents 32x32",
      undefined,
      32,
    ),
  ];
}

/** Its inputs and PyTorch's result, channels last. */
export async function readUnetCase({ folder }: UnetCase): Promise<UnetGolden> {
  const golden = await readGolden(join(folder, "golden.safetensors"));
  const [sample, context, output] = [golden("sample"), golden("context"), golden("output")];
  return { sample, context, output, timestep: golden("timestep").data[0]! };
}

function exported(name: string, unet: string | undefined, side: number): UnetCase {
  const made = unet === undefined ? "narrow" : "shapes";
  const folder = join(PACKAGES, "unet", `${made}-${side}-${state(unet)}`);
  if (!existsSync(join(folder, "golden.safetensors"))) {
    console.error(`Exporting ${name} to ONNX (a minute, once) ...`);
    const args = [SCRIPT, folder, "--side", String(side), ...(unet ? ["--unet", unet] : [])];
    python(args);
  }
  return { name, folder, unet: unet ?? join(folder, "unet") };
}

/** Another export where the script or the weights are others. */
function state(unet: string | undefined): string {
  const files = [SCRIPT, ...(unet ? [join(unet, "diffusion_pytorch_model.safetensors")] : [])];
  const hash = createHash("sha256");
  for (const file of files) hash.update(readFileSync(file));
  return hash.digest("hex").slice(0, 12);
}

function python(args: readonly string[]): void {
  const own = join(ROOT, ".venv/bin/python");
  const command = process.env.PYTHON ?? (existsSync(own) ? own : "python3");
  const { status } = spawnSync(command, args, { stdio: ["ignore", 2, 2] });
  if (status === 0) return;
  rmSync(args[1]!, { recursive: true, force: true });
  throw new Error(
    `${command} could not export the UNets: it needs tools/reference/requirements.txt (PYTHON=... names another)`,
  );
}
