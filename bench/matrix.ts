/**
 * `npm run bench -- matrix [DIR]`: what the matrix units of a GPU give. The ladder at 8192³, and on a full-size
 * checkpoint one UNet evaluation with guidance at 64x64 and 96x96 latents with the units and without, each beside
 * PyTorch on the same machine where it is there. One command for a GPU that is held for minutes.
 */
import { spawnSync } from "node:child_process";
import { fileURLToPath } from "node:url";
import { type Device, openDevice } from "../engine/index.ts";
import { table } from "../tools/verify/report.ts";
import type { RunOptions } from "./harness.ts";
import { benchLadder, type LadderRow } from "./ladder/ladder.ts";
import { benchNetwork, type NetworkRow } from "./networks.ts";
import { saveResult } from "./results.ts";
import { digits } from "./table.ts";

const TORCH = fileURLToPath(new URL("../tools/reference/torch_times.py", import.meta.url));

export interface MatrixOptions {
  /** A full-size diffusers folder; without it only the ladder is measured. */
  readonly directory: string | undefined;
  /** M, N and K of the ladder, and latent pixels a side. */
  readonly size: number;
  readonly sides: readonly number[];
  readonly runs: RunOptions;
  /** Keep the results. */
  readonly keep: boolean;
}

/** A line of `torch_times.py`. */
interface TorchTime {
  readonly what: string;
  readonly mode: string;
  readonly ms: number;
  readonly device: string;
  readonly torch: string;
}

/** Saves each part as it is done: the machine may be taken away. Throws if a result is wrong. */
export async function benchMatrix(options: MatrixOptions): Promise<void> {
  const devices = {
    plain: await openDevice({ matrix: false }),
    matrix: await openDevice({ matrix: true }),
  };
  const keep = (name: string, values: unknown) => {
    if (options.keep) saveResult(name, devices.matrix, values);
  };
  console.log(JSON.stringify(aboutDevice(devices.matrix)));
  const ladder = await ladderOf(devices, options);
  keep("matrix-ladder", ladder);
  console.log(ladderTable(ladder));
  if (options.directory !== undefined) {
    const steps: (NetworkRow & { readonly matrix: boolean })[] = [];
    for (const side of options.sides) {
      for (const matrix of [true, false]) {
        const device = matrix ? devices.matrix : devices.plain;
        const how = { dtype: "f16", quick: false, side, runs: options.runs } as const;
        steps.push({ ...(await benchNetwork(device, options.directory, "unet", how)), matrix });
        keep("matrix-unet", steps);
      }
    }
    console.log(stepTable(steps));
  }
  const torch = torchTimes(options);
  keep("matrix-torch", torch);
  console.table(torch);
}

function ladderOf(devices: { plain: Device; matrix: Device }, { size, runs }: MatrixOptions) {
  const cube = { M: size, N: size, K: size };
  return benchLadder(devices, cube, runs, ({ rung, ms, tflops }) =>
    console.error(`${rung}: ${ms.median.toFixed(2)} ms, ${tflops.toFixed(2)} TFLOP/s`),
  );
}

function aboutDevice({ info, target, gpu }: Device) {
  const { vendor, architecture, device, description } = info;
  return {
    vendor,
    architecture,
    device,
    description,
    matrix: target.matrix,
    features: [...gpu.features],
  };
}

/** PyTorch's times of the same products; none where Python, PyTorch or its GPU are missing. */
function torchTimes({ size, sides }: MatrixOptions): TorchTime[] {
  const args = [TORCH, "--gemm", String(size), "--sides", sides.join(",")];
  const { stdout, stderr, status } = spawnSync("python3", args, { encoding: "utf8" });
  if (status !== 0)
    console.error(`PyTorch was not timed: ${stderr?.trim().split("\n").at(-1) ?? ""}`);
  const lines = (stdout ?? "").split("\n").filter((line) => line.startsWith("{"));
  return lines.map((line) => JSON.parse(line));
}

export function ladderTable(rows: readonly LadderRow[]): string {
  const cells = rows.map(({ rung, about, ms, tflops, error }) => [
    rung,
    about,
    digits(ms.median),
    digits(tflops),
    error.toExponential(1),
  ]);
  return table(["rung", "what is new", "ms", "TFLOP/s", "error"], cells, 2);
}

function stepTable(rows: readonly (NetworkRow & { matrix: boolean })[]): string {
  const cells = rows.map(({ side, matrix, ms, tflops, dispatches }) => [
    `${side}x${side}`,
    matrix ? "yes" : "no",
    digits(ms.median),
    digits(tflops),
    String(dispatches),
  ]);
  return table(["latents", "matrix units", "ms", "TFLOP/s", "dispatches"], cells, 2);
}
