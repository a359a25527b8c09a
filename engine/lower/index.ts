/** One row an op: how it becomes dispatches. */
import { CUSTOM } from "./custom.ts";
import { ELEMENTWISE } from "./elementwise.ts";
import { LAYOUT } from "./layout.ts";
import { LINEAR } from "./linear.ts";
import type { Lowering } from "./lowering.ts";
import { REDUCE } from "./reduce.ts";
import { RESAMPLE } from "./resample.ts";

export const LOWERINGS: Readonly<Record<string, Lowering>> = {
  ...CUSTOM,
  ...ELEMENTWISE,
  ...LAYOUT,
  ...LINEAR,
  ...REDUCE,
  ...RESAMPLE,
};
