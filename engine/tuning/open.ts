/** A device's record, taken over as the device is opened. */
import type { Tuning } from "./choices.ts";
import { readRecord, type TuningStore } from "./record.ts";

/** -> what was wrong with the record, if anything: it is left aside then, and nothing else happens. */
export async function useRecord(
  tuning: Tuning,
  identity: string,
  store: TuningStore,
): Promise<string | undefined> {
  try {
    const text = await store.read(identity);
    if (text !== undefined) tuning.use(readRecord(identity, text).choices);
    return undefined;
  } catch (error) {
    const why = error instanceof SyntaxError ? "it is no JSON" : (error as Error).message;
    return `what was measured on this GPU is left aside: ${why}`;
  }
}
