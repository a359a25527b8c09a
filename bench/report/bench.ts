/** What the rows of the report share: a device, and measurements that several of them look at. */
import type { Device } from "../../engine/index.ts";
import type { Totals } from "../../tools/plans/dump.ts";
import { planTotals } from "./plans.ts";
import { type PictureErrors, pictureErrors, stageErrors } from "./pytorch.ts";

export interface Bench {
  readonly device: Device;
  readonly stages: () => Promise<ReadonlyMap<string, number>>;
  readonly pictures: () => Promise<readonly PictureErrors[]>;
  readonly plans: () => ReadonlyMap<string, Totals>;
}

/** Each measurement is made when the first row wants it. */
export function createBench(device: Device): Bench {
  return {
    device,
    stages: once(() => stageErrors(device, "f32")),
    pictures: once(() => pictureErrors(device)),
    plans: once(planTotals),
  };
}

function once<T>(make: () => T): () => T {
  let made: { readonly value: T } | undefined;
  return () => {
    made ??= { value: make() };
    return made.value;
  };
}
