/** Values of options as text, read but not judged: numbers, lists with commas, settings. */
import { DiffusionError } from "../../engine/errors.ts";
import type { SchedulerSettings } from "../../model/request.ts";

/** Number() is too kind: it takes "", " 1 ", "0x10" and "Infinity". Throws BAD_REQUEST naming the option. */
export function number(name: string, value: string | undefined): number | undefined {
  if (value === undefined) return undefined;
  if (/^[+-]?(\d+\.?\d*|\.\d+)(e[+-]?\d+)?$/i.test(value)) return Number(value);
  throw badRequest(`${name} must be a number (got ${JSON.stringify(value.slice(0, 40))})`);
}

/** A number, or several between commas. */
export function numbers(name: string, value: string | undefined) {
  if (!value?.includes(",")) return number(name, value);
  return value.split(",").map((each) => number(name, each.trim())!);
}

export function texts(value: string | undefined) {
  return value?.includes(",") ? value.split(",").map((each) => each.trim()) : value;
}

/** Always a list, of one too. */
export function numberList(name: string, value: string | undefined): readonly number[] | undefined {
  return value === undefined ? undefined : [numbers(name, value)!].flat();
}

/**
 * `solver_order=3,use_lu_lambdas=true,disable_corrector=[0,2]`: numbers, true, false and lists as in JSON, all
 * else is text. Throws BAD_REQUEST for what has no name, and for a name that comes twice.
 */
export function settings(name: string, value: string | undefined): SchedulerSettings | undefined {
  if (value === undefined) return undefined;
  const found = new Map<string, SchedulerSettings[string]>();
  // Commas within brackets belong to a list.
  for (const part of value.split(/,(?![^[]*\])/)) {
    const [, key, setting] = /^\s*(\w+)=(.*)$/s.exec(part) ?? [];
    if (key === undefined || setting === undefined || found.has(key)) {
      const got = JSON.stringify(part.slice(0, 40));
      throw badRequest(`${name} must be name=value,name=value, each name once (got ${got})`);
    }
    found.set(key, settingOf(setting));
  }
  return Object.fromEntries(found);
}

function settingOf(text: string): SchedulerSettings[string] {
  try {
    return JSON.parse(text);
  } catch {
    return text;
  }
}

export function badRequest(message: string, hint?: string): DiffusionError {
  return new DiffusionError("BAD_REQUEST", message, hint === undefined ? {} : { hint });
}
