/** What `cold.ts` starts: paints one picture and says how long each part took. Imports nothing before it looks at the clock. */
const startedAt = Date.now();
let last = performance.now();
const parts: Record<string, number> = {};

function lap(name: string): void {
  const now = performance.now();
  parts[name] = now - last;
  last = now;
}

const { StableDiffusion } = await import("../model/index.ts");
const { openDevice, WeightCache } = await import("../engine/index.ts");
lap("import");
const { directory, dtype, steps, output } = JSON.parse(process.argv[2]!);
const device = await openDevice();
lap("device");
const compile = watched(device.gpu, "createComputePipelineAsync");
const weights = watched(WeightCache.prototype, "get");
const sd = await StableDiffusion.fromPretrained(directory, { device, dtype });
lap("open");
const { images, timings } = await sd.generate({ prompt: "a red circle", steps, seed: 1 });
last = performance.now();
const image = images[0]!;
await image.save(output);
lap("png");
const { load, encode: text, steps: loop, decode } = timings;
const inside = { load, compile: compile.ms, weights: weights.ms, text, loop, decode };
const { user, system } = process.cpuUsage();
const said = {
  ...{ startedAt, dtype: sd.dtype, steps, side: image.width, pipelines: compile.calls },
  ...{ cpuMs: (user + system) / 1000, parts: { ...parts, ...inside } },
};
process.stdout.write(JSON.stringify(said), () => process.exit(0));

interface Watch {
  /** While at least one call was under way. */
  ms: number;
  calls: number;
}

function watched<K extends string>(
  object: Record<K, (...given: never[]) => Promise<unknown>>,
  method: K,
): Watch {
  const watch: Watch = { ms: 0, calls: 0 };
  const original = object[method] as (...given: unknown[]) => Promise<unknown>;
  let [pending, since] = [0, 0];
  object[method] = async function (this: unknown, ...given: unknown[]) {
    watch.calls++;
    if (pending++ === 0) since = performance.now();
    try {
      return await original.apply(this, given);
    } finally {
      if (--pending === 0) watch.ms += performance.now() - since;
    }
  };
  return watch;
}
