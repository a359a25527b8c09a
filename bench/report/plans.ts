/** The full-size plans as a GPU with WebGPU's default limits gets them: nothing here needs a GPU. */
import { borrow, place } from "../../engine/memory.ts";
import { type Totals, totals } from "../../tools/plans/dump.ts";
import { fullSizePlans } from "../../tools/plans/files.ts";
import { DEFAULT_GPU } from "../../tools/plans/targets.ts";
import { sd2Configs } from "../sd2.ts";

/** What each plan needs in f16, by its name: "unet-512-f16". */
export function planTotals(): Map<string, Totals> {
  const plans = fullSizePlans(sd2Configs(), DEFAULT_GPU).filter(({ dtype }) => dtype === "f16");
  return new Map(plans.map(({ name, program }) => [name, totals(program)]));
}

/**
 * Bytes of all buffers in which the plans of one 512x512 picture work, f16: the steps work in the decoder's,
 * as far as those are large enough (model/painter.ts).
 */
export function activationsTogether(): number {
  const plans = fullSizePlans(sd2Configs(), DEFAULT_GPU).filter(
    ({ name, dtype }) => dtype === "f16" && !name.includes("768"),
  );
  const buffers = new Map(plans.map(({ name, program }) => [name, place(program).buffers]));
  const step = buffers.get("unet-512-f16")!;
  const borrowed = borrow(step, buffers.get("vae-512-f16")!);
  const saved = step.filter((_, i) => borrowed[i] !== undefined);
  const sum = (sizes: readonly number[]) => sizes.reduce((a, b) => a + b, 0);
  return sum([...buffers.values()].flat()) - sum(saved);
}

/** The largest value of one kind among the plans whose names match. */
export function most(plans: ReadonlyMap<string, Totals>, names: RegExp, key: keyof Totals): number {
  const found = [...plans].filter(([name]) => names.test(name)).map(([, total]) => total[key]);
  if (found.length === 0) throw new Error(`no plan is called ${names}`);
  return Math.max(...found);
}
