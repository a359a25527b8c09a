/** What an engine must do to be measured beside the others. Each runs in a process of its own. */
import { createRequire } from "node:module";
import { join } from "node:path";
import { pathToFileURL } from "node:url";
import type { OpCase } from "../ops/cases.ts";
import type { Operands } from "../ops/operands.ts";
import type { UnetCase } from "./unet-case.ts";

export interface Peer {
  readonly name: string;
  readonly version: string;
  /** Throws where the engine has no such operation. */
  prepare(c: OpCase, given: Operands): Promise<Prepared>;
  /** A whole UNet evaluation; the result is channels last. Engines without it take no part there. */
  prepareUnet?(c: UnetCase): Promise<Prepared>;
}

/** A case with operands where the engine wants them, as far as it lets us put them there. */
export interface Prepared {
  /** Computes once, and waits until it is done. */
  run(): Promise<void>;
  /** The result of the last run, in the order of `outputShape`: pictures channels last. */
  output(): Promise<ArrayLike<number>>;
  dispose(): Promise<void>;
}

/** Where `install.ts` puts the packages: out of the way of everything that looks through this folder. */
export const PACKAGES = join(import.meta.dirname, "../../node_modules/.cache/peers");

/** A file of an installed package. Untyped: the packages are not there when our code is checked. */
export function load(path: string) {
  return import(pathToFileURL(join(PACKAGES, "node_modules", path)).href);
}

/** The same for CommonJS. */
export function requirePackage(name: string) {
  return createRequire(join(PACKAGES, "package.json"))(name);
}

export function versionOf(name: string): string {
  return requirePackage(join(PACKAGES, "node_modules", name, "package.json")).version;
}
