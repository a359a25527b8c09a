/** `npm run bench -- WHAT`: the measurements of this folder. */
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { parseArgs } from "node:util";
import { type Device, openDevice } from "../engine/index.ts";
import { STAGES, type Stage } from "../tools/verify/networks.ts";
import { benchFullSize } from "./full-size.ts";
import { QUICK, THOROUGH } from "./harness.ts";
import { benchImage } from "./image.ts";
import { benchKernels } from "./kernels.ts";
import { imageTable, networkTable, peerTable, suiteTable } from "./more-tables.ts";
import { benchNetwork } from "./networks.ts";
import { QUICK_CASES, SD2_CASES } from "./ops/cases.ts";
import { contest } from "./peers/contest.ts";
import { CONTESTANTS } from "./peers/contestants.ts";
import { installPeers } from "./peers/install.ts";
import { writeRoofline } from "./plot.ts";
import { type Result, resultOf, saveResult } from "./results.ts";
import { benchSuite } from "./suite.ts";
import { writeTables } from "./tables.ts";
import { benchTask, FORMS } from "./tasks.ts";

const USAGE = `usage: npm run bench -- kernels|unet|vae|image|peers|all [--quick] [--model DIR] [--dtype f32|f16]... [--side N] [--steps N]
       npm run bench -- full DIR [--stage text|unet|vae]... [--dtype f32|f16]... [--side 8|16]
       npm run bench -- task ${FORMS.join("|")} [--python PATH] [--dtype f32|f16]... [--work DIR] [--single-file SCRIPT]
       npm run bench -- products [--dtype f32|f16]...
       npm run bench -- tables`;

const DTYPES = ["f16", "f32"] as const;
type BenchDType = (typeof DTYPES)[number];

const { values, positionals } = parseArgs({
  allowPositionals: true,
  options: {
    stage: { type: "string", multiple: true },
    dtype: { type: "string", multiple: true },
    side: { type: "string" },
    steps: { type: "string" },
    model: { type: "string" },
    python: { type: "string" },
    work: { type: "string" },
    "single-file": { type: "string" },
    quick: { type: "boolean", default: false },
  },
});
const { quick } = values;
const stages = chosen<Stage>("--stage", values.stage, STAGES);
const dtypes = chosen<BenchDType>("--dtype", values.dtype, DTYPES);
const side = values.side === undefined ? undefined : Number(values.side);
const [what = "", directory] = positionals;

const COMMANDS: Readonly<Record<string, () => Promise<void>>> = {
  kernels,
  unet: () => network("unet"),
  vae: () => network("vae"),
  image,
  peers,
  async all() {
    for (const name of ["kernels", "unet", "vae", "image", "peers"]) await COMMANDS[name]!();
  },
  async products() {
    const device = await openDevice();
    const rows = await benchKernels(device, dtypes);
    saveResult("products", device, rows);
    console.table(rows);
  },
  async full() {
    if (directory === undefined) stop(USAGE);
    await benchFullSize(directory, { stages, dtypes, side: side ?? 8 });
  },
  task,
  tables: async () => undefined,
};

const command = COMMANDS[what];
if (!command) stop(USAGE);
await command();
if (!quick) writeTables();
// Dawn keeps the process alive.
process.exit();

async function kernels(): Promise<void> {
  const device = await openDevice();
  const suite = await benchSuite(device, dtypes, quick, ({ name, dtype }) =>
    console.error(`${name}, ${dtype}`),
  );
  keep("kernels", device, suite, suiteTable);
  if (!quick) writeRoofline(suite);
  device.destroy();
}

async function network(name: "unet" | "vae"): Promise<void> {
  for (const dtype of dtypes) {
    const device = await openDevice();
    const row = await benchNetwork(device, model(), name, { dtype, quick, side });
    keep(`${name}-${dtype}`, device, row, networkTable);
    device.destroy();
  }
}

async function task(): Promise<void> {
  const [form] = chosen("task", directory === undefined ? [""] : [directory], FORMS);
  const rows = await benchTask(
    {
      form: form!,
      dtypes,
      python: values.python ?? process.env.WGSL_DIFFUSION_PYTHON ?? "python3",
      work: values.work ?? tmpdir(),
      script: values["single-file"],
    },
    {
      onStage: (stage) => console.error(`diffusers: ${stage}`),
      onRow: ({ name, dtype, maxError, ok }) =>
        console.error(`${name}, ${dtype}: ${maxError.toExponential(1)} ${ok ? "ok" : "FAILS"}`),
    },
  );
  if (!rows.every(({ ok }) => ok)) process.exitCode = 1;
}

async function image(): Promise<void> {
  const device = await openDevice();
  for (const dtype of dtypes) {
    const steps = Number(values.steps ?? (quick ? 2 : 25));
    const row = await benchImage({ directory: model(), dtype, steps, side });
    keep(`image-${dtype}`, device, row, imageTable);
  }
  device.destroy();
}

async function peers(): Promise<void> {
  installPeers();
  const [cases, options] = quick ? [QUICK_CASES, QUICK] : [SD2_CASES, THOROUGH];
  const rows = await contest(CONTESTANTS, cases, options, ({ name, peer, failure }) =>
    console.error(`${name}: ${peer}${failure === null ? "" : `: ${failure}`}`),
  );
  const device = await openDevice();
  keep("peers", device, rows, peerTable);
  device.destroy();
}

/** A quick run is shown, and no result. */
function keep<T>(
  name: string,
  device: Device,
  measured: T,
  show: (results: Result<T>[]) => string,
): void {
  console.log(show([resultOf(name, device, measured)]));
  if (!quick) saveResult(name, device, measured);
}

/** The checkpoint that was named, else the one that ships, else the tests' own. */
function model(): string {
  const root = join(import.meta.dirname, "..");
  const shipped = join(root, "model/shapes");
  if (values.model !== undefined) return values.model;
  return existsSync(join(shipped, "model_index.json"))
    ? shipped
    : join(root, "test/fixtures/tiny-v");
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
