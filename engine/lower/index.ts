/** One row an op: how it becomes dispatches. */
import { LAYOUT } from "./layout.ts";
import { LINEAR } from "./linear.ts";
import type { Lowering } from "./lowering.ts";

export const LOWERINGS: Readonly<Record<string, Lowering>> = {
  ...LAYOUT,
  ...LINEAR,
};
