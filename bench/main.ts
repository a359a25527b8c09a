/** `npm run bench -- WHAT`: the measurements of this folder. */
import { parseArgs } from "node:util";
import { STAGES } from "../tools/verify/networks.ts";
import { type Bench, COMMANDS, type Command, DTYPES } from "./commands.ts";
import { writeTables } from "./tables.ts";
import { FORMS } from "./tasks.ts";

const USAGE = `usage: npm run bench -- kernels|unet|vae|image|growth|cold|peers|unet-peers|all [--quick] [--minutes N]
                    [--model DIR] [--dtype f32|f16]... [--side N] [--steps N]
       npm run bench -- full DIR [--stage text|unet|vae]... [--dtype f32|f16]... [--side 8|16]
       npm run bench -- tune [--model DIR] [--dtype f32|f16]... [--side N] [--minutes N] [--as-gpu] [--quick]
       npm run bench -- task ${FORMS.join("|")} [--python PATH] [--dtype f32|f16]... [--work DIR] [--single-file SCRIPT]
       npm run bench -- products [--dtype f32|f16]...
       npm run bench -- tables`;

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    stage: { type: "string", multiple: true },
    dtype: { type: "string", multiple: true },
    side: { type: "string" },
    steps: { type: "string" },
    model: { type: "string" },
    minutes: { type: "string" },
    python: { type: "string" },
    work: { type: "string" },
    "single-file": { type: "string" },
    quick: { type: "boolean", default: false },
    "as-gpu": { type: "boolean", default: false },
  },
});
const [what = "", directory] = positionals;
const command: Command | undefined = COMMANDS[what];
if (!command || (what === "full" && directory === undefined)) stop(USAGE);
const bench: Bench = {
  ...{ directory, model: values.model, quick: values.quick, asGpu: values["as-gpu"] },
  stages: chosen("--stage", values.stage, STAGES),
  dtypes: chosen("--dtype", values.dtype, DTYPES),
  side: number("--side", values.side),
  steps: number("--steps", values.steps),
  minutes: number("--minutes", values.minutes),
  python: values.python,
  work: values.work,
  singleFile: values["single-file"],
};
await command(bench);
if (!bench.quick) writeTables();
// Dawn keeps the process alive.
process.exit();

function number(option: string, given: string | undefined): number | undefined {
  const value = given === undefined ? undefined : Number(given);
  if (value !== undefined && !(value > 0)) stop(`${option} ${given}: a number above 0\n${USAGE}`);
  return value;
}

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
