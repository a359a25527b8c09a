/** One row an op: how it becomes dispatches. */
import { ATTENTION } from "./attention.ts";
import { CUSTOM } from "./custom.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import { LAYOUT } from "./layout.ts";
import { LINEAR } from "./linear.ts";
import type { Lowering } from "./lowering.ts";
import { NORM } from "./norm.ts";
import { REDUCE } from "./reduce.ts";
import { RESAMPLE } from "./resample.ts";

export const LOWERINGS: Readonly<Record<string, Lowering>> = {
  ...ATTENTION,
  ...CUSTOM,
  ...ELEMENTWISE,
  ...LAYOUT,
  ...LINEAR,
  ...NORM,
  ...REDUCE,
  ...RESAMPLE,
};
