/** The checkpoint that runs where none is named. */
import { existsSync } from "node:fs";
import { join } from "node:path";
import { DiffusionError } from "../../engine/errors.ts";

/** The small trained one that ships, else the tiny random one of the tests. Throws WEIGHTS_MISSING. */
export function defaultModel(): string {
  const root = join(import.meta.dirname, "../..");
  const found = ["model/shapes", "test/fixtures/tiny-v"]
    .map((folder) => join(root, folder))
    .find((folder) => existsSync(join(folder, "model_index.json")));
  if (found) return found;
  throw new DiffusionError("WEIGHTS_MISSING", "no checkpoint ships with this installation", {
    hint: "Name one with --model DIR.",
  });
}
