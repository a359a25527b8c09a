/** A device's measured choices as text, and back: whatever is in a cache may be broken, foreign or old. */

/** Raise it when the kernels change so that older measurements mean nothing. */
const REVISION = 1;
const FORMAT = "wgsl-diffusion tuning";

export interface TuningRecord {
  /** Problem class -> the name of a variant. */
  readonly choices: Readonly<Record<string, string>>;
}

/** Where records are kept, one a device. Nothing here may fail a run: what does not work resolves to nothing. */
export interface TuningStore {
  /** The text that was written for this device last, or undefined. */
  read(device: string): Promise<string | undefined>;
  /** Replaces it whole or not at all. Throws where there is no room or no right to. */
  write(device: string, text: string): Promise<void>;
}

/** Which device a record is for: a new driver is a new device. */
export function deviceIdentity(info: GPUAdapterInfo, form: string): string {
  const { vendor, architecture, device, description } = info;
  return [vendor, architecture, device, description, form].filter(Boolean).join(" | ");
}

export function writeRecord(device: string, { choices }: TuningRecord): string {
  const sorted = Object.fromEntries(Object.entries(choices).sort(([a], [b]) => (a < b ? -1 : 1)));
  const record = { format: FORMAT, revision: REVISION, device, choices: sorted };
  return `${JSON.stringify(record, null, 2)}\n`;
}

/** The record in `text`; empty for one of other kernels. Throws a word on what is wrong with it. */
export function readRecord(device: string, text: string): TuningRecord {
  const found: unknown = JSON.parse(text);
  if (!isObject(found) || found.format !== FORMAT) throw new Error("it is no record of tuning");
  if (found.revision !== REVISION) return { choices: {} };
  if (found.device !== device) throw new Error("it is another device's");
  const { choices } = found;
  if (!isObject(choices) || !Object.values(choices).every((name) => typeof name === "string")) {
    throw new Error("its choices are no names");
  }
  return { choices: choices as Record<string, string> };
}

function isObject(value: unknown): value is Record<string, unknown> {
  return typeof value === "object" && value !== null && !Array.isArray(value);
}
