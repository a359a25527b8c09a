/** What diffusers recorded (tools/reference/verify_dump.py): cases with their tensors. */
import { readFileSync } from "node:fs";
import { join } from "node:path";
import { DiffusionError } from "../../engine/errors.ts";
import { type Golden, readGolden } from "./golden.ts";

/** One call of a stage: plain values, and names of tensors. */
export interface Case {
  readonly stage: string;
  readonly name: string;
  readonly [key: string]: unknown;
}

export interface Dump {
  readonly versions: Readonly<Record<string, string>>;
  /** diffusers' class. */
  readonly pipeline: string;
  readonly notes: readonly string[];
  readonly cases: readonly Case[];
  /** Tensors by name; pictures that are f32 are channels last. */
  readonly tensor: (name: string) => Golden;
}

/** Opens a folder with stages.json and stages.safetensors. Throws PATH where they are not there. */
export async function openDump(folder: string): Promise<Dump> {
  const tensor = await readGolden(join(folder, "stages.safetensors")).catch((cause) => {
    throw new DiffusionError("PATH", `${folder} holds no recorded stages: ${cause.message}`, {
      hint: "`npm run verify -- --record DIR` writes them.",
      cause,
    });
  });
  return { ...JSON.parse(readFileSync(join(folder, "stages.json"), "utf8")), tensor };
}

/** The tensor that `key` of a case names. */
export function tensorOf(dump: Dump, each: Case, key: string): Golden {
  return dump.tensor(each[key] as string);
}
