/** Values of a request, checked one by one; every fault is a BAD_REQUEST that says what was found and what is allowed. */
import { DiffusionError } from "../engine/errors.ts";
import { LIMITS } from "./limits.ts";

export function text(name: string, value: unknown): string {
  if (typeof value !== "string") throw bad(`${name} must be a string (got ${show(value)})`);
  // Code points, not UTF-16 units: an emoji is one character to its writer.
  const length = value.length <= LIMITS.promptLength ? value.length : [...value].length;
  if (length <= LIMITS.promptLength) return value;
  throw bad(
    `${name} must be at most ${LIMITS.promptLength} characters (got ${length})`,
    "The text encoder reads 77 tokens, about 50 words; the rest would be cut.",
  );
}

interface Range {
  readonly min: number;
  readonly max: number;
}

export function integer(name: string, value: unknown, { min, max }: Range): number {
  if (Number.isInteger(value) && (value as number) >= min && (value as number) <= max)
    return value as number;
  throw bad(`${name} must be a whole number between ${min} and ${max} (got ${show(value)})`);
}

export function real(name: string, value: unknown, { min, max }: Range): number {
  if (typeof value === "number" && value >= min && value <= max) return value;
  throw bad(`${name} must be a number between ${min} and ${max} (got ${show(value)})`);
}

export function side(
  name: string,
  value: unknown,
  hint?: string,
  { min, max, multiple }: Range & { readonly multiple: number } = LIMITS.size,
): number {
  const number = typeof value === "number" ? value : Number.NaN;
  if (number >= min && number <= max && number % multiple === 0) return number;
  const nearest = Math.min(max, Math.max(min, Math.round(number / multiple) * multiple));
  const advice = Number.isNaN(nearest) ? "" : `; nearest: ${nearest}`;
  throw bad(
    `${name} must be a multiple of ${multiple} between ${min} and ${max} (got ${show(value)})${advice}`,
    hint,
  );
}

export function seedOf(value: unknown): number {
  if (value === undefined || value === -1)
    return crypto.getRandomValues(new Uint32Array(1))[0] as number;
  if (Number.isSafeInteger(value) && (value as number) >= 0) return value as number;
  throw bad(
    `seed must be a whole number between 0 and ${Number.MAX_SAFE_INTEGER}, or -1 for a random one (got ${show(value)})`,
  );
}

export function oneOf<T extends string>(name: string, value: unknown, choices: readonly T[]): T {
  const found = choices.find((choice) => choice === value);
  if (found !== undefined) return found;
  throw bad(`${name} must be one of ${choices.join(", ")} (got ${show(value)})`);
}

export function flag(name: string, value: unknown): boolean {
  if (value === undefined || typeof value === "boolean") return value === true;
  throw bad(`${name} must be true or false (got ${show(value)})`);
}

/** A value as a message shows it. Objects are named by their kind: their own toString may be anything. */
export function show(value: unknown): string {
  const object = typeof value === "object" && value !== null;
  const plain = object ? (Array.isArray(value) ? "a list" : "an object") : String(value);
  const shown = typeof value === "string" ? JSON.stringify(value) : plain;
  return shown.length > 40 ? `${shown.slice(0, 37)}...` : shown;
}

export function bad(message: string, hint?: string): DiffusionError {
  return new DiffusionError("BAD_REQUEST", message, hint === undefined ? {} : { hint });
}
