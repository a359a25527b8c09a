/** One row an op: how it becomes dispatches. */
import { ELEMENTWISE } from "./elementwise.ts";
import { LAYOUT } from "./layout.ts";
import { LINEAR } from "./linear.ts";
import type { Lowering } from "./lowering.ts";
import { REDUCE } from "./reduce.ts";
import { RESAMPLE } from "./resample.ts";

export const LOWERINGS: Readonly<Record<string, Lowering>> = {
  ...ELEMENTWISE,
  ...LAYOUT,
  ...LINEAR,
  ...REDUCE,
  ...RESAMPLE,
};
