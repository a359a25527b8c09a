/** The files of test/fixtures/plans: for each plan, size and dtype what it does, and a summary for software. */
import type { DType } from "../../engine/index.ts";
import type { Target } from "../../engine/lower/lowering.ts";
import { lower, type Program } from "../../engine/program.ts";
import { dumpKernels, dumpProgram, dumpTotals } from "./dump.ts";
import { type ConfigFiles, fullSizeGraphs } from "./full-size.ts";
import { DEFAULT_GPU, SOFTWARE } from "./targets.ts";

export const SIZES = [512, 768] as const;
export const DTYPES = ["f16", "f32"] as const satisfies readonly DType[];

export interface FullSizePlan {
  /** "unet-512-f16"; plans that do not depend on the size have none in their name. */
  readonly name: string;
  readonly dtype: DType;
  readonly program: Program;
}

/** Every plan of both sizes and dtypes, each once. */
export function fullSizePlans(files: ConfigFiles, target: Target): FullSizePlan[] {
  const found = new Map<string, FullSizePlan>();
  for (const dtype of DTYPES) {
    for (const size of SIZES) {
      for (const [part, outputs] of Object.entries(fullSizeGraphs(files, { dtype, size }))) {
        const sized = part === "unet" || part === "vae";
        const name = sized ? `${part}-${size}-${dtype}` : `${part}-${dtype}`;
        if (!found.has(name)) found.set(name, { name, dtype, program: lower(outputs, target) });
      }
    }
  }
  return [...found.values()];
}

/** File name -> text. */
export function dumpFiles(files: ConfigFiles): Map<string, string> {
  const texts = fullSizePlans(files, DEFAULT_GPU).map(
    ({ name, program }) => [`${name}.txt`, dumpProgram(program)] as const,
  );
  const software = fullSizePlans(files, SOFTWARE).map(
    ({ name, program }) => `${name}\n${dumpKernels(program)}${dumpTotals(program)}`,
  );
  return new Map([...texts, ["software.txt", software.join("\n")]]);
}
