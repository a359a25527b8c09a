/** The commands of `npm run bench`, and how long each may take. */
import { existsSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { type Device, openDevice } from "../engine/index.ts";
import type { Stage } from "../tools/verify/networks.ts";
import { budgetOf } from "./budget.ts";
import { benchCold } from "./cold.ts";
import { benchFullSize } from "./full-size.ts";
import { benchGrowth } from "./growth.ts";
import { benchImage } from "./image.ts";
import { benchKernels } from "./kernels.ts";
import { coldTable, growthTable, unetPeerTable } from "./latest-tables.ts";
import { imageTable, networkTable, peerTable, suiteTable } from "./more-tables.ts";
import { benchNetwork } from "./networks.ts";
import { QUICK_CASES, SD2_CASES } from "./ops/cases.ts";
import { contest, type PeerRow } from "./peers/contest.ts";
import { CONTESTANTS, UNET_CONTESTANTS } from "./peers/contestants.ts";
import { installPeers } from "./peers/install.ts";
import { unetCases } from "./peers/unet-case.ts";
import { writeRoofline } from "./plot.ts";
import { type Result, resultOf, saveResult } from "./results.ts";
import { benchSuite } from "./suite.ts";
import { benchTask, FORMS, type Form } from "./tasks.ts";
import { benchTune } from "./tune.ts";

export const DTYPES = ["f16", "f32"] as const;

/** What the command line says. */
export interface Bench {
  readonly directory: string | undefined;
  readonly model: string | undefined;
  readonly quick: boolean;
  readonly stages: readonly Stage[];
  readonly dtypes: readonly (typeof DTYPES)[number][];
  readonly side: number | undefined;
  readonly steps: number | undefined;
  /** All of a command's measurements in about this time; else each has its own. */
  readonly minutes: number | undefined;
  /** On a software adapter: its kernels for GPUs, to try what is for GPUs. */
  readonly asGpu: boolean;
  /** For `task`: Python, the folder for its checkpoint, diffusers' script that makes a single file of it. */
  readonly python: string | undefined;
  readonly work: string | undefined;
  readonly singleFile: string | undefined;
}

export type Command = (bench: Bench) => Promise<void>;

export const COMMANDS: Readonly<Record<string, Command>> = {
  kernels,
  unet: (bench) => network("unet", bench),
  vae: (bench) => network("vae", bench),
  image,
  growth,
  cold,
  peers,
  "unet-peers": unetPeers,
  all,
  tune: ({ asGpu, dtypes, minutes, model, quick, side }) =>
    benchTune({ asGpu, dtypes, minutes: minutes ?? (quick ? 0.5 : 10), model, quick, side }),
  async products({ dtypes }) {
    const device = await openDevice();
    const rows = await benchKernels(device, dtypes);
    saveResult("products", device, rows);
    console.table(rows);
  },
  full: ({ directory, stages, dtypes, side }) =>
    benchFullSize(directory!, { stages, dtypes, side: side ?? 8 }),
  task,
  tables: async () => undefined,
};

/** What `all` runs, and each one's share of its time. */
const SHARES: Readonly<Record<string, number>> = {
  ...{ kernels: 4.5, unet: 0.5, vae: 0.5, image: 2, cold: 0.5 },
  ...{ growth: 2.5, "unet-peers": 1.5, peers: 7 },
};
const ALL_MINUTES = 19;

/** One that fails (no Python for the exports, say) is named at the end, and the others' results are kept. */
async function all(bench: Bench): Promise<void> {
  const unit = (bench.minutes ?? ALL_MINUTES) / Object.values(SHARES).reduce((a, b) => a + b);
  const failures: string[] = [];
  for (const [name, share] of Object.entries(SHARES)) {
    console.error(`${name} (about ${(share * unit).toFixed(1)} minutes)`);
    await COMMANDS[name]!({ ...bench, minutes: share * unit }).catch((error: Error) => {
      failures.push(`${name}: ${error.message}`);
    });
  }
  for (const failure of failures) console.error(failure);
  if (failures.length > 0) process.exitCode = 1;
}

async function kernels({ dtypes, quick, minutes }: Bench): Promise<void> {
  const device = await openDevice();
  const how = { quick, budget: budgetOf(quick, minutes) };
  const suite = await benchSuite(device, dtypes, how, ({ name, dtype }) =>
    console.error(`${name}, ${dtype}`),
  );
  keep("kernels", device, suite, suiteTable, quick);
  if (!quick) writeRoofline(suite);
  device.destroy();
}

async function network(name: "unet" | "vae", bench: Bench): Promise<void> {
  const { dtypes, quick, side } = bench;
  const budget = budgetOf(quick, bench.minutes);
  for (const [i, dtype] of dtypes.entries()) {
    const device = await openDevice();
    const runs = budget.next(dtypes.length - i);
    const row = await benchNetwork(device, model(bench), name, { dtype, quick, side, runs });
    keep(`${name}-${dtype}`, device, row, networkTable, quick);
    device.destroy();
  }
}

async function image(bench: Bench): Promise<void> {
  const { quick, side } = bench;
  const device = await openDevice();
  for (const dtype of bench.dtypes) {
    const steps = bench.steps ?? (quick ? 2 : 25);
    const row = await benchImage({ directory: model(bench), dtype, steps, side });
    keep(`image-${dtype}`, device, row, imageTable, quick);
  }
  device.destroy();
}

async function growth(bench: Bench): Promise<void> {
  const { quick, minutes } = bench;
  const device = await openDevice();
  const rows = await benchGrowth({
    ...{ quick, model: model(bench), budget: budgetOf(quick, minutes) },
    tell: ({ group, side, batch, steps }) =>
      console.error(`${group}: ${side}x${side}, batch ${batch}, steps ${steps}`),
  });
  keep("growth", device, rows, growthTable, quick);
  device.destroy();
}

async function cold(bench: Bench): Promise<void> {
  const { quick } = bench;
  const device = await openDevice();
  const steps = bench.steps ?? (quick ? 2 : 25);
  const dtype = device.target.software ? "f32" : "f16";
  const row = await benchCold({ directory: model(bench), dtype, steps, runs: quick ? 1 : 3 });
  keep("cold", device, row, coldTable, quick);
  device.destroy();
}

const told = ({ name, peer, failure }: PeerRow) =>
  console.error(`${name}: ${peer}${failure === null ? "" : `: ${failure}`}`);

async function peers({ quick, minutes }: Bench): Promise<void> {
  installPeers();
  const matches = (quick ? QUICK_CASES : SD2_CASES).map((op) => ({ name: op.name, op }));
  const rows = await contest(CONTESTANTS, matches, budgetOf(quick, minutes), told);
  const device = await openDevice();
  keep("peers", device, rows, peerTable, quick);
  device.destroy();
}

async function unetPeers({ quick, minutes }: Bench): Promise<void> {
  installPeers();
  const matches = unetCases().map((unet) => ({ name: unet.name, unet }));
  const rows = await contest(UNET_CONTESTANTS, matches, budgetOf(quick, minutes), told);
  const device = await openDevice();
  keep("whole-unets", device, rows, unetPeerTable, quick);
  device.destroy();
}

async function task({ directory, dtypes, python, work, singleFile }: Bench): Promise<void> {
  if (!FORMS.includes(directory as Form)) throw new Error(`task: ${FORMS.join(", ")}`);
  const rows = await benchTask(
    {
      form: directory as Form,
      dtypes,
      python: python ?? process.env.WGSL_DIFFUSION_PYTHON ?? "python3",
      work: work ?? tmpdir(),
      script: singleFile,
    },
    {
      onStage: (stage) => console.error(`diffusers: ${stage}`),
      onRow: ({ name, dtype, maxError, ok }) =>
        console.error(`${name}, ${dtype}: ${maxError.toExponential(1)} ${ok ? "ok" : "FAILS"}`),
    },
  );
  if (!rows.every(({ ok }) => ok)) process.exitCode = 1;
}

/** A quick run is shown, and no result. */
function keep<T>(
  name: string,
  device: Device,
  measured: T,
  show: (results: Result<T>[]) => string,
  quick: boolean,
): void {
  console.log(show([resultOf(name, device, measured)]));
  if (!quick) saveResult(name, device, measured);
}

/** The checkpoint that was named, else the one that ships, else the tests' own. */
function model({ model }: Bench): string {
  const root = join(import.meta.dirname, "..");
  const shipped = join(root, "model/shapes");
  if (model !== undefined) return model;
  return existsSync(join(shipped, "model_index.json"))
    ? shipped
    : join(root, "test/fixtures/tiny-v");
}
