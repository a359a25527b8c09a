/** What `image.ts` starts: opens a checkpoint, paints twice, says when it had the first picture. */
import { StableDiffusion } from "../model/index.ts";
import { timed } from "./clock.ts";
import type { ImageOptions } from "./image.ts";

const { directory, dtype, steps, side } = JSON.parse(process.argv[2]!) as ImageOptions;
const sd = await StableDiffusion.fromPretrained(directory, { dtype: dtype as "f16" | "f32" });
const size = side === undefined ? {} : { width: side, height: side };
const paint = () => sd.generate({ prompt: "a red circle", steps, seed: 1, ...size });
const { images } = await paint();
const firstAt = Date.now();
const { user, system } = process.cpuUsage();
const warm = await timed(paint);
const row = {
  ...{ dtype, steps, side: images[0]!.width, firstAt },
  ...{ coldCpuMs: (user + system) / 1000, warmMs: warm.wallMs, warmCpuMs: warm.cpuMs },
};
process.stdout.write(JSON.stringify(row), () => process.exit(0));
