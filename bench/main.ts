/** `npm run bench -- WHAT`: the measurements of this folder. */
import { parseArgs } from "node:util";
import { openDevice } from "../engine/index.ts";
import { benchFullSize } from "./full-size.ts";
import { benchKernels } from "./kernels.ts";
import { saveResult } from "./results.ts";
import { STAGES, type Stage } from "./stages.ts";
import { writeTables } from "./tables.ts";

const USAGE = `usage: npm run bench -- full DIR [--stage text|unet|vae]... [--dtype f32|f16]... [--side 8|16]
       npm run bench -- kernels [--dtype f32|f16]...
       npm run bench -- tables`;

const DTYPES = ["f16", "f32"] as const;
type BenchDType = (typeof DTYPES)[number];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    stage: { type: "string", multiple: true },
    dtype: { type: "string", multiple: true },
    side: { type: "string", default: "8" },
  },
});
const stages = chosen<Stage>("--stage", values.stage, STAGES);
const dtypes = chosen<BenchDType>("--dtype", values.dtype, DTYPES);
const [what, directory] = positionals;

if (what === "full" && directory !== undefined) {
  await benchFullSize(directory, { stages, dtypes, side: Number(values.side) });
} else if (what === "kernels") {
  const device = await openDevice();
  const rows = await benchKernels(device, dtypes);
  saveResult("kernels", device, rows);
  console.table(rows);
} else if (what !== "tables") {
  stop(USAGE);
}
writeTables();
// Dawn keeps the process alive.
process.exit(0);

function chosen<T extends string>(
  option: string,
  given: readonly string[] | undefined,
  all: readonly T[],
): readonly T[] {
  const wrong = given?.find((value) => !all.includes(value as T));
  if (wrong !== undefined) stop(`${option} ${wrong}: it may be ${all.join(", ")}\n${USAGE}`);
  return (given as readonly T[] | undefined) ?? all;
}

function stop(message: string): never {
  console.error(message);
  process.exit(2);
}
