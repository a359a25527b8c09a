/** `npm run bench -- kernels`: single operations at the model's sizes, held against the device's roofline. */
import { compile, type Device, type DType } from "../engine/index.ts";
import type { Budget } from "./budget.ts";
import { type Measurement, measure, QUICK, type RunOptions } from "./harness.ts";
import { type OpCase, QUICK_CASES, SD2_CASES } from "./ops/cases.ts";
import { caseGraph } from "./ops/graph.ts";
import { operands, WEIGHTS } from "./ops/operands.ts";
import { sampledError, TOLERANCE } from "./ops/reference.ts";
import { measurePeaks, type Peaks, roofline } from "./peaks.ts";

export interface SuiteRow extends Measurement {
  readonly name: string;
  readonly dtype: DType;
  /** Against float64, as in `sampledError`. */
  readonly error: number;
  /** Shares of the roofline, by the clock and by CPU time (a software adapter only). */
  readonly roofline: number;
  readonly rooflineByCpu: number | null;
}

export interface Suite {
  readonly peaks: Peaks;
  readonly rows: readonly SuiteRow[];
}

/** Throws if a result is wrong: the time of a wrong kernel is no result. `tell` hears of each row. */
export async function benchSuite(
  device: Device,
  dtypes: readonly ("f32" | "f16")[],
  { quick, budget }: { readonly quick: boolean; readonly budget: Budget },
  tell: (row: SuiteRow) => void,
): Promise<Suite> {
  const cases = quick ? QUICK_CASES : SD2_CASES;
  // Nine peaks in the time of a case.
  const share = budget.next(cases.length * dtypes.length + 1);
  const peaks = await measurePeaks(
    device,
    quick ? QUICK : { ...share, budgetMs: share.budgetMs / 9 },
  );
  const rows: SuiteRow[] = [];
  for (const c of cases) {
    for (const dtype of dtypes) {
      const options = budget.next(cases.length * dtypes.length - rows.length);
      const row = await benchCase(device, c, dtype, peaks, options);
      rows.push(row);
      tell(row);
    }
  }
  return { peaks, rows };
}

async function benchCase(
  device: Device,
  c: OpCase,
  dtype: "f32" | "f16",
  peaks: Peaks,
  options: RunOptions,
): Promise<SuiteRow> {
  const given = operands(c);
  const plan = await compile(device, { y: caseGraph(c, given, dtype) });
  try {
    for (const [name, { data }] of Object.entries(given)) {
      if (!WEIGHTS.includes(name)) plan.write(name, data);
    }
    const measured = await measure([plan], options);
    const error = sampledError(c, given, await plan.read("y"));
    if (!(error <= TOLERANCE[dtype])) throw new Error(`${c.name}, ${dtype}: off by ${error}`);
    const { ms, cpuMs, cores } = measured;
    const byCpu = cpuMs && roofline(measured, cpuMs.median / cores, peaks, "byCpu");
    return {
      ...{ name: c.name, dtype, error, ...measured },
      roofline: roofline(measured, ms.median, peaks),
      rooflineByCpu: byCpu,
    };
  } finally {
    await plan.destroy();
  }
}
