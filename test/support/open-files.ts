/** How many files of weights this process holds open: only those, for handles of others come and go by themselves. */
import { existsSync, readdirSync, readlinkSync } from "node:fs";

const HANDLES = "/proc/self/fd";

/** Undefined where the system does not say (it is not Linux). */
export function openWeightFiles(): number | undefined {
  if (!existsSync(HANDLES)) return undefined;
  return readdirSync(HANDLES).filter((handle) => target(handle).endsWith(".safetensors")).length;
}

function target(handle: string): string {
  try {
    return readlinkSync(`${HANDLES}/${handle}`);
  } catch {
    return ""; // closed since it was listed: the listing's own handle
  }
}
