/** `npm run bench -- tune`: measures the variants of kernels that a model's plans can use on this GPU, and records the fastest. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { type DType, openDevice, tune } from "../engine/index.ts";
import { lower } from "../engine/program.ts";
import { type ConfigFiles, fullSizeGraphs } from "../tools/plans/full-size.ts";
import { table } from "../tools/verify/report.ts";
import { sd2Configs } from "./sd2.ts";
import { digits } from "./table.ts";

export interface TuneCommand {
  readonly asGpu: boolean;
  readonly dtypes: readonly DType[];
  readonly minutes: number;
  /** A diffusers folder; default: Stable Diffusion 2. */
  readonly model: string | undefined;
  readonly quick: boolean;
  /** Latent pixels a side. */
  readonly side: number | undefined;
}

/** The plans are lowered and not run: no weights are needed. A quick run records nothing. */
export async function benchTune(options: TuneCommand): Promise<void> {
  const form = options.asGpu ? { software: false, bake: false } : {};
  const device = await openDevice(options.quick ? { ...form, tuning: false } : form);
  for (const warning of device.warnings) console.error(warning);
  const size = 8 * (options.side ?? (options.quick ? 8 : 64));
  const files = options.model === undefined ? sd2Configs() : configsOf(options.model);
  for (const dtype of options.dtypes) {
    for (const outputs of Object.values(fullSizeGraphs(files, { dtype, size }))) {
      lower(outputs, device.target);
    }
  }
  const known = device.tuning.known.size;
  console.error(`${device.identity}: ${device.tuning.open.length} to measure, ${known} known`);
  const { measured, left } = await tune(device, {
    budgetMs: 60_000 * options.minutes,
    onMeasured: ({ key, chosen }) => console.error(`${key}: ${chosen}`),
  });
  const rows = measured.map(({ key, times, chosen }) => [
    ...[key, times[0]!.variant, chosen],
    ...[digits(times[0]!.ms), digits(times.find(({ variant }) => variant === chosen)!.ms)],
  ]);
  console.log(table(["problem", "estimate", "fastest", "its ms", "fastest, ms"], rows, 3));
  if (left > 0) console.log(`\n${left} were left: run it again, or with more --minutes.`);
  device.destroy();
}

function configsOf(folder: string): ConfigFiles {
  const config = (part: string) =>
    JSON.parse(readFileSync(join(folder, part, "config.json"), "utf8"));
  return { text_encoder: config("text_encoder"), unet: config("unet"), vae: config("vae") };
}
