/** Typed reading of one of diffusers' JSON files; every fault names the file, the key and the value. */
import { DiffusionError, type ErrorCode } from "../../engine/errors.ts";

export interface ConfigFile {
  readonly name: string;
  readonly code: ErrorCode;
  readonly values: Readonly<Record<string, unknown>>;
}

/** Widths, depths and counts beyond this are no model, and would exhaust memory in shape tables. */
const MAX_COUNT = 1 << 20;

/** `json` as a file of named values. Throws `code` if it is not an object. */
export function configFile(json: unknown, name: string, code: ErrorCode = "CONFIG"): ConfigFile {
  if (typeof json === "object" && json !== null && !Array.isArray(json)) {
    return { name, code, values: json as Record<string, unknown> };
  }
  throw new DiffusionError(code, `${name} holds ${show(json)}; expected a JSON object`);
}

/** The value of `key`; a key that is absent takes `fallback`, the default of diffusers' class. */
export function rawValue(file: ConfigFile, key: string, fallback: unknown): unknown {
  return Object.hasOwn(file.values, key) ? file.values[key] : fallback;
}

/** An integer from `min` (1) to 2^20. */
export function countOf(file: ConfigFile, key: string, fallback: number, min = 1): number {
  return checkCount(file, key, rawValue(file, key, fallback), min);
}

/** As `countOf`, but null and absent are null. */
export function optionalCount(file: ConfigFile, key: string): number | null {
  const value = rawValue(file, key, null);
  return value === null ? null : checkCount(file, key, value, 1);
}

export function checkCount(file: ConfigFile, key: string, value: unknown, min = 1): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= MAX_COUNT) {
    return value as number;
  }
  throw configFault(file, key, value, `an integer from ${min} to ${MAX_COUNT}`);
}

export function numberOf(file: ConfigFile, key: string, fallback: number): number {
  const value = rawValue(file, key, fallback);
  if (typeof value === "number" && Number.isFinite(value)) return value;
  throw configFault(file, key, value, "a number");
}

export function flagOf(file: ConfigFile, key: string, fallback: boolean): boolean {
  return checkFlag(file, key, rawValue(file, key, fallback));
}

export function checkFlag(file: ConfigFile, key: string, value: unknown): boolean {
  if (typeof value === "boolean") return value;
  throw configFault(file, key, value, "true or false");
}

/** One of the keys of `choices`, as what stands there. */
export function choiceOf<T>(
  file: ConfigFile,
  key: string,
  choices: Readonly<Record<string, T>>,
  fallback: string,
): T {
  return checkChoice(file, key, rawValue(file, key, fallback), choices);
}

export function checkChoice<T>(
  file: ConfigFile,
  key: string,
  value: unknown,
  choices: Readonly<Record<string, T>>,
): T {
  if (typeof value === "string" && Object.hasOwn(choices, value)) return choices[value] as T;
  throw configFault(file, key, value, `one of ${Object.keys(choices).join(", ")}`);
}

export type CheckItem<T> = (file: ConfigFile, key: string, value: unknown) => T;

/** A list of 1 to 16 items. */
export function listOf<T>(
  file: ConfigFile,
  key: string,
  fallback: readonly T[],
  check: CheckItem<T>,
): readonly T[] {
  const value = rawValue(file, key, fallback);
  if (!Array.isArray(value) || value.length < 1 || value.length > 16) {
    throw configFault(file, key, value, "a list of 1 to 16 items");
  }
  return value.map((item, i) => check(file, `${key}[${i}]`, item));
}

/** One item for each of `levels` resolutions: a list of them, or one that holds for all. */
export function perLevel<T>(
  file: ConfigFile,
  key: string,
  levels: number,
  fallback: T,
  check: CheckItem<T>,
): readonly T[] {
  const value = rawValue(file, key, fallback);
  if (!Array.isArray(value)) return Array<T>(levels).fill(check(file, key, value));
  if (value.length === levels) return value.map((item, i) => check(file, `${key}[${i}]`, item));
  throw configFault(file, key, value, `one value or a list of ${levels}, as block_out_channels`);
}

/** A setting that changes the model in a way that is not implemented, unless it has this value. */
export type Refusal = readonly [key: string, only: unknown, why: string];

export function refuseSettings(file: ConfigFile, refusals: readonly Refusal[]): void {
  for (const [key, only, why] of refusals) {
    const value = rawValue(file, key, only);
    if (value !== only) throw configFault(file, key, value, `${show(only)} (${why})`);
  }
}

export function configFault(
  file: ConfigFile,
  key: string,
  value: unknown,
  expected: string,
): DiffusionError {
  return new DiffusionError(
    file.code,
    `${file.name}: ${key} is ${show(value)}; expected ${expected}`,
    { hint: "use the file that came with the weights, unchanged; only Stable Diffusion 2 is read" },
  );
}

function show(value: unknown): string {
  const text = JSON.stringify(value) ?? "absent";
  return text.length > 120 ? `${text.slice(0, 120)}…` : text;
}
